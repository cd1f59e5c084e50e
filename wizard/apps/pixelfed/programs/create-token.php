<?php
/** Prints a token of the account `name` for ten minutes, as JSON. */

Laravel\Passport\Passport::personalAccessTokensExpireIn(new DateInterval('PT10M'));
$model = $app['config']['auth.providers.users.model'];
$user = $model::where('username', $values['name'])->firstOrFail();
echo json_encode(['token' => $user->createToken('fedi-setup', ['read', 'write'])->accessToken]), PHP_EOL;
