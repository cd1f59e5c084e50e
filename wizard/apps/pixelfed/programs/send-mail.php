<?php
/** Sends a mail; prints `accepted` or `error` as JSON. Also fails if the mailer ignored MAIL_URL and so does not require TLS. */

try {
  $transport = method_exists($app['mailer'], 'getSymfonyTransport') ? $app['mailer']->getSymfonyTransport() : null;
  if ($values['tls'] && $transport && method_exists($transport, 'isTlsRequired') && !$transport->isTlsRequired())
    throw new RuntimeException('Pixelfed would send passwords in the clear where no encryption is offered');
  $sent = $app['mailer']->raw($values['text'], fn ($mail) => $mail->to($values['to'])->subject($values['subject']));
  echo json_encode(['accepted' => (string) $sent?->getMessageId()]), PHP_EOL;
} catch (Throwable $e) {
  echo json_encode(['error' => get_class($e).': '.$e->getMessage()], JSON_INVALID_UTF8_SUBSTITUTE), PHP_EOL;
}
