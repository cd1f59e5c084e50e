<?php
/** Pixelfed has no endpoint that revokes a token. */

echo $app['db']->update('update oauth_access_tokens set revoked = true where id = ?', [$values['id']]), PHP_EOL;
