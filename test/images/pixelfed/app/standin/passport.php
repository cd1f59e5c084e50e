<?php
// Passport: keys, client apps, tokens.

namespace Laravel\Passport {
    use function Standin\db;

    final class Passport
    {
        public static ?\DateInterval $expire = null;

        public static function personalAccessTokensExpireIn(?\DateInterval $expire = null): mixed
        {
            return $expire === null ? self::$expire : (self::$expire = $expire);
        }
    }

    final class ClientRepository
    {
        public function personalAccessClient(string $provider = 'users'): object
        {
            return db()->selectOne('select * from oauth_clients where personal_access_client and not revoked order by id desc')
                ?? throw new \RuntimeException('Personal access client not found. Please create one.');
        }
    }
}

namespace Standin {
    use Laravel\Passport\ClientRepository;
    use Laravel\Passport\Passport;

    /** PEM of one half: from the environment, where `\n` stands for a line break, else from its file. */
    function passportKey(string $half): string
    {
        $given = env('PASSPORT_'.strtoupper($half).'_KEY');
        if ($given !== null && $given !== '') {
            return str_replace('\\n', "\n", $given);
        }
        $file = BASE."/storage/oauth-$half.key";
        if (! is_readable($file)) {
            throw new \LogicException("Key path \"file://$file\" does not exist or is not readable");
        }

        return file_get_contents($file);
    }

    function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    function issueToken(int $client, ?int $user, array $scopes, string $name, int $seconds): string
    {
        $id = bin2hex(random_bytes(40));
        db()->insert('oauth_access_tokens', ['id' => $id, 'user_id' => $user, 'client_id' => $client, 'name' => $name, 'scopes' => json_encode($scopes), 'revoked' => false, 'created_at' => now(), 'updated_at' => now(), 'expires_at' => now($seconds)]);
        $head = base64url(json_encode(['typ' => 'JWT', 'alg' => 'RS256']));
        $body = base64url(json_encode(['aud' => (string) $client, 'jti' => $id, 'iat' => time(), 'nbf' => time(), 'exp' => time() + $seconds, 'sub' => (string) $user, 'scopes' => $scopes]));
        if (! @openssl_sign("$head.$body", $signature, passportKey('private'), OPENSSL_ALGO_SHA256)) {
            throw new \LogicException('Invalid key supplied');
        }

        return "$head.$body.".base64url($signature);
    }

    /** The user of a token and its scopes; null: it is nobody's. */
    function userOfToken(string $token): ?array
    {
        $parts = explode('.', $token);
        if (count($parts) !== 3) {
            return null;
        }
        [$head, $body, $signature] = $parts;
        $bytes = base64_decode(strtr($signature, '-_', '+/'));
        if (@openssl_verify("$head.$body", $bytes, passportKey('public'), OPENSSL_ALGO_SHA256) !== 1) {
            return null;
        }
        $claims = json_decode(base64_decode(strtr($body, '-_', '+/')), true);
        // The server takes a token whose user is its client for one of the client's own, which is no user's.
        if ($claims['exp'] < time() || $claims['sub'] === $claims['aud']) {
            return null;
        }
        $row = db()->selectOne('select * from oauth_access_tokens where id = ? and not revoked', [$claims['jti']]);
        $user = $row ? db()->selectOne('select * from users where id = ?', [(int) $claims['sub']]) : null;

        return $user ? [$user, $claims['scopes']] : null;
    }

    /** The model of users, in so far as scripts on standard input use it. */
    final class User
    {
        private function __construct(private readonly object $row) {}

        public static function where(string $column, mixed $value): object
        {
            return new class($column, $value)
            {
                public function __construct(private string $column, private mixed $value) {}

                public function firstOrFail(): User
                {
                    $row = db()->selectOne("select * from users where $this->column = ?", [$this->value]);

                    return $row ? User::of($row) : throw new \RuntimeException('No query results for model [App\Models\User].');
                }
            };
        }

        public static function of(object $row): self
        {
            return new self($row);
        }

        public function createToken(string $name, array $scopes = []): object
        {
            $client = (new ClientRepository)->personalAccessClient();
            $expire = Passport::personalAccessTokensExpireIn() ?? new \DateInterval('P1Y');
            $seconds = (new \DateTime)->add($expire)->getTimestamp() - time();

            return (object) ['accessToken' => issueToken((int) $client->id, (int) $this->row->id, $scopes, $name, $seconds)];
        }
    }
}
