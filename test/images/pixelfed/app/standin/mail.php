<?php
// Mail as Laravel decides about it: by MAIL_MAILER, MAIL_SCHEME and the port; MAIL_URL may demand TLS.

namespace Standin;

final class Mailer
{
    public string $to = '';

    public string $subject = '';

    public function to(string $address): self
    {
        $this->to = $address;

        return $this;
    }

    public function subject(string $text): self
    {
        $this->subject = $text;

        return $this;
    }

    /** Sends a text; `$build` is given this object to say to whom and about what. */
    public function raw(string $text, callable $build): ?object
    {
        $build($this);
        $id = bin2hex(random_bytes(16)).'@'.env('APP_DOMAIN');
        $from = env('MAIL_FROM_ADDRESS', 'pixelfed@example.com');
        $message = implode("\r\n", ['Message-ID: <'.$id.'>', 'Date: '.date(DATE_RFC2822), 'From: "'.env('MAIL_FROM_NAME', 'Example').'" <'.$from.'>', 'To: '.$this->to, 'Subject: '.$this->subject, 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', '', str_replace("\n", "\r\n", $text), '']);
        if (either('MAIL_MAILER', 'MAIL_DRIVER', 'smtp') === 'log') {
            file_put_contents('php://stderr', "[mail] $message\n");
        } else {
            $this->send($from, $message);
        }

        return new class($id)
        {
            public function __construct(private string $id) {}

            public function getMessageId(): string
            {
                return $this->id;
            }
        };
    }

    private function send(string $from, string $message): void
    {
        [$host, $port] = [(string) env('MAIL_HOST', '127.0.0.1'), (int) env('MAIL_PORT', 2525)];
        $tls = (env('MAIL_SCHEME') ?? ($port === 465 ? 'smtps' : 'smtp')) === 'smtps';
        $verify = env('MAIL_SMTP_VERIFY_PEER', true);
        $context = stream_context_create(['ssl' => ['verify_peer' => $verify, 'verify_peer_name' => $verify, 'peer_name' => $host]]);
        $socket = @stream_socket_client(($tls ? 'ssl' : 'tcp')."://$host:$port", $number, $said, 15, STREAM_CLIENT_CONNECT, $context);
        if (! $socket) {
            throw new TransportException("Connection could not be established with host \"$host:$port\": stream_socket_client(): Unable to connect to $host:$port (".(error_get_last() ? $said : $said).')');
        }
        stream_set_timeout($socket, 15);
        $ask = function (?string $line, int ...$codes) use ($socket, $host, $port): string {
            if ($line !== null) {
                fwrite($socket, "$line\r\n");
            }
            for ($text = ''; ($one = fgets($socket)) !== false;) {
                $text .= $one;
                if (($one[3] ?? ' ') === ' ') {
                    break;
                }
            }
            if ($text === '') {
                throw new TransportException("Connection to \"$host:$port\" timed out.");
            }
            if (! in_array((int) $text, $codes, true)) {
                throw new TransportException(sprintf('Expected response code "%s" but got code "%d", with message "%s".', implode('/', $codes), (int) $text, trim($text)));
            }

            return $text;
        };
        $name = (string) env('MAIL_EHLO_DOMAIN', 'localhost');
        $ask(null, 220);
        $able = $ask("EHLO $name", 250);
        if (! $tls && env('MAIL_AUTO_TLS', true) && stripos($able, 'STARTTLS') !== false) {
            $ask('STARTTLS', 220);
            if (! @stream_socket_enable_crypto($socket, true, STREAM_CRYPTO_METHOD_TLS_CLIENT)) {
                throw new TransportException('Unable to connect with STARTTLS: certificate verify failed');
            }
            $ask("EHLO $name", 250);
        }
        parse_str((string) parse_url((string) env('MAIL_URL', ''), PHP_URL_QUERY), $options);
        if (($options['require_tls'] ?? '') === 'true' && ! $tls && stripos($able, 'STARTTLS') === false) {
            throw new TransportException('TLS required but neither TLS or STARTTLS are in use.');
        }
        if (env('MAIL_USERNAME') !== null) {
            $ask('AUTH LOGIN', 334);
            $ask(base64_encode((string) env('MAIL_USERNAME')), 334);
            $ask(base64_encode((string) env('MAIL_PASSWORD')), 235);
        }
        $ask("MAIL FROM:<$from>", 250);
        $ask("RCPT TO:<$this->to>", 250, 251);
        $ask('DATA', 354);
        $ask(preg_replace('/^\./m', '..', $message).'.', 250);
        $ask('QUIT', 221);
        fclose($socket);
    }
}

final class TransportException extends \RuntimeException {}
