<?php
// Pages and API: what a browser, a client app, another server and our own proofs ask for.

namespace Standin;

const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';

/** Ends the request. */
function answer(int $status, string $body = '', string $type = 'text/html; charset=utf-8', array $headers = []): never
{
    http_response_code($status);
    header("Content-Type: $type");
    foreach ($headers as $name => $value) {
        header("$name: $value", false);
    }
    echo $body;
    exit;
}

function json(mixed $data, int $status = 200, string $type = 'application/json', array $headers = []): never
{
    answer($status, json_encode($data, JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT), $type, $headers);
}

/** The original gives exceptions without a status of their own 500 in JSON, and sends a browser back to its form. */
function invalid(string $message): never
{
    wantsJson() ? json(['message' => $message, 'errors' => ['field' => [$message]]], 500) : redirect('/');
}

function page(string $html, int $status = 200): never
{
    answer($status, '<!DOCTYPE html><html><head><title>'.htmlspecialchars((string) env('APP_NAME', 'Pixelfed'))."</title><link rel=\"stylesheet\" href=\"".url('/css/app.css')."\"></head><body>$html</body></html>");
}

function redirect(string $path): never
{
    answer(302, '', headers: ['Location' => url($path)]);
}

function notFound(): never
{
    wantsJson() ? json(['error' => 'Record not found'], 404) : page("<h1>Sorry, this page isn't available.</h1>", 404);
}

function wantsJson(): bool
{
    return (bool) preg_match('#[/+]json#', explode(',', $_SERVER['HTTP_ACCEPT'] ?? '')[0]);
}

/** Kept in Redis under the id in the cookie; written back when it is changed. */
final class Session
{
    public string $id;

    public array $data;

    public function __construct()
    {
        $given = $_COOKIE['pxfs'] ?? '';
        $this->id = preg_match('/^[0-9a-f]{40}$/', $given) ? $given : bin2hex(random_bytes(20));
        $this->data = json_decode((string) redis()->get("session:$this->id"), true) ?: ['_token' => bin2hex(random_bytes(20))];
    }

    public function save(): void
    {
        redis()->setEx("session:$this->id", 60 * (int) env('SESSION_LIFETIME', 120), json_encode($this->data));
        setcookie('pxfs', $this->id, ['expires' => time() + 60 * (int) env('SESSION_LIFETIME', 120), 'path' => '/', 'domain' => (string) env('SESSION_DOMAIN', env('APP_DOMAIN')), 'secure' => (bool) env('SESSION_SECURE_COOKIE', true), 'httponly' => true, 'samesite' => 'lax']);
    }

    public function user(): ?object
    {
        return isset($this->data['user']) ? db()->selectOne('select * from users where id = ?', [$this->data['user']]) : null;
    }

    public function field(): string
    {
        return '<input type="hidden" name="_token" value="'.$this->data['_token'].'" autocomplete="off">';
    }

    public function check(): void
    {
        if (($_POST['_token'] ?? '') !== $this->data['_token']) {
            wantsJson() ? json(['message' => 'CSRF token mismatch.'], 419) : page('<h1>Page Expired</h1>', 419);
        }
    }
}

function setLastActive(object $user): void
{
    if (redis('cache')->set("user:last_active_at:id:$user->id", '1', ['nx', 'ex' => 14_400])) {
        db()->update('update users set last_active_at = ? where id = ?', [now(), $user->id]);
    }
}

/** The user whose token comes along, for a scope. */
function api(string $scope): object
{
    $found = userOfToken(preg_replace('/^Bearer /', '', $_SERVER['HTTP_AUTHORIZATION'] ?? ''));
    if ($found === null) {
        wantsJson() ? json(['error' => 'Unauthenticated.'], 500) : redirect('/login');
    }
    [$user, $scopes] = $found;
    in_array($scope, $scopes, true) || json(['message' => ''], 403);

    return $user;
}

function profileOf(mixed $id): object
{
    return db()->selectOne('select * from profiles where id = ?', [$id]) ?? notFound();
}

function findStatus(string $id): object
{
    return db()->selectOne('select * from statuses where id = ? and deleted_at is null', [(int) $id]) ?? notFound();
}

function upload(): never
{
    $user = api('write');
    $file = $_FILES['file'] ?? null;
    if (! $file || $file['error'] !== UPLOAD_ERR_OK) {
        invalid('The file field is required.');
    }
    $mime = mime_content_type($file['tmp_name']);
    $allowed = explode(',', env('MEDIA_TYPES', 'image/jpeg,image/jpg,image/png,image/gif'));
    if (! in_array($mime, $allowed, true)) {
        invalid('The file field must be a file of type: '.implode(', ', $allowed).'.');
    }
    if ($file['size'] > 1024 * (int) env('MAX_PHOTO_SIZE', 15_000)) {
        invalid('The file field must not be greater than '.env('MAX_PHOTO_SIZE', 15_000).' kilobytes.');
    }
    // An account that was never used posts nothing, and is told nothing.
    if ($user->last_active_at === null) {
        json([]);
    }
    setLastActive($user);
    $folder = "public/m/_v2/$user->profile_id/".substr(hash('sha256', gmdate('Y-m')), 0, 16).'/'.bin2hex(random_bytes(6));
    mkdir(BASE."/storage/app/$folder", 0711, true);
    $path = "$folder/".bin2hex(random_bytes(20)).'.'.(['image/png' => 'png', 'image/gif' => 'gif', 'image/webp' => 'webp', 'image/avif' => 'avif', 'image/heic' => 'heic', 'video/mp4' => 'mp4'][$mime] ?? 'jpg');
    move_uploaded_file($file['tmp_name'], BASE."/storage/app/$path");
    chmod(BASE."/storage/app/$path", 0644);
    $id = db()->insert('media', ['profile_id' => $user->profile_id, 'user_id' => $user->id, 'media_path' => $path, 'mime' => $mime, 'size' => $file['size'], 'caption' => $_POST['description'] ?? '', 'created_at' => now(), 'updated_at' => now()]);
    if ($mime !== 'image/gif' && str_starts_with($mime, 'image/')) {
        dispatch('ImageOptimize', $id, 'mmo');
    }
    json(media(db()->selectOne('select * from media where id = ?', [$id])));
}

function createStatus(): never
{
    $user = api('write');
    $ids = array_map(intval(...), (array) ($_POST['media_ids'] ?? []));
    $ids || json(['error' => 'Empty statuses are not allowed'], 403);
    count($ids) <= (int) env('MAX_ALBUM_LENGTH', 4) || invalid('The media ids field must not have more than '.env('MAX_ALBUM_LENGTH', 4).' items.');
    if ($user->last_active_at === null) {
        json([]);
    }
    foreach ($ids as $one) {
        db()->scalar('select count(*) from media where id = ? and user_id = ? and status_id is null', [$one, $user->id]) || json(['error' => 'Invalid media_ids'], 400);
    }
    $visibility = $_POST['visibility'] ?? 'public';
    $id = snowflake();
    db()->insert('statuses', ['id' => $id, 'profile_id' => $user->profile_id, 'caption' => strip_tags($_POST['status'] ?? ''), 'rendered' => '', 'type' => 'photo', 'scope' => $visibility, 'visibility' => $visibility, 'created_at' => now(), 'updated_at' => now()]);
    foreach ($ids as $one) {
        db()->update('update media set status_id = ? where id = ?', [$id, $one]);
    }
    dispatch('NewStatus', $id);
    json(status(findStatus((string) $id)));
}

function cached(string $key, int $seconds, callable $make): array
{
    $found = redis('cache')->get($key);
    if ($found !== false) {
        return json_decode($found, true);
    }
    $made = $make();
    redis('cache')->setEx($key, $seconds, json_encode($made));

    return $made;
}

/** A JSON list of texts, kept for a week. */
function rules(): array
{
    return cached('api:v1:instance-data:rules', 604_800, fn () => env('PF_RULES') ? array_map(fn ($rule, $i) => ['id' => (string) ($i + 1), 'text' => $rule], json_decode(env('PF_RULES'), true), array_keys(json_decode(env('PF_RULES'), true))) : []);
}

function instance(): array
{
    return cached('api:v1:instance-data-response-v1', 1800, fn () => [
        'uri' => env('APP_DOMAIN'), 'title' => env('APP_NAME', 'Pixelfed'), 'short_description' => env('PF_SHORT_DESCRIPTION', 'Pixelfed'), 'description' => env('PF_DESCRIPTION'), 'email' => env('INSTANCE_CONTACT_EMAIL'),
        'version' => '3.5.3 (compatible; Pixelfed '.VERSION.')', 'urls' => ['streaming_api' => null], 'stats' => ['user_count' => (int) db()->scalar('select count(*) from users')],
        'rules' => rules(),
        // As the original has it without its cache of settings: no variable sets it, and it is no whole address.
        'thumbnail' => '/storage/headers/default.jpg', 'languages' => [env('APP_LOCALE', 'en')], 'registrations' => (bool) env('OPEN_REGISTRATION', true), 'approval_required' => (bool) env('INSTANCE_CUR_REG', false),
    ] + limits());
}

function limits(): array
{
    return ['configuration' => [
        'media_attachments' => ['supported_mime_types' => explode(',', env('MEDIA_TYPES', 'image/jpeg,image/jpg,image/png,image/gif')), 'image_size_limit' => 1024 * (int) env('MAX_PHOTO_SIZE', 15_000)],
        'statuses' => ['max_characters' => (int) env('MAX_CAPTION_LENGTH', 500), 'max_media_attachments' => (int) env('MAX_ALBUM_LENGTH', 4)],
    ]];
}

function person(string $name): never
{
    $profile = db()->selectOne('select * from profiles where lower(username) = lower(?) and domain is null', [$name]) ?? notFound();
    if (! wantsJson() || ! env('ACTIVITY_PUB', false)) {
        page('<h1>'.htmlspecialchars($profile->username).'</h1>');
    }
    // A deleted account; the original has a page for it, and nothing for others.
    $profile->status === null || answer(404);
    $id = url("/users/$profile->username");
    json(['@context' => ['https://w3id.org/security/v1', 'https://www.w3.org/ns/activitystreams'], 'id' => $id, 'type' => 'Person', 'preferredUsername' => $profile->username, 'name' => $profile->name, 'url' => url("/$profile->username"), 'inbox' => "$id/inbox", 'outbox' => "$id/outbox", 'followers' => "$id/followers", 'following' => "$id/following", 'publicKey' => ['id' => "$id#main-key", 'owner' => $id, 'publicKeyPem' => $profile->public_key], 'endpoints' => ['sharedInbox' => url('/f/inbox')]], 200, 'application/activity+json');
}

/** Host-agnostic. */
function apiRoutes(string $method, string $path): void
{
    switch ("$method $path") {
        case 'GET /api/service/health-check':
            answer(200, 'OK', 'text/plain; charset=UTF-8', ['Cache-Control' => 'max-age=0, must-revalidate, no-cache, no-store']);
        case 'GET /api/v1/instance':
            json(instance());
        case 'GET /api/v2/instance':
            // Kept apart from the other; who may sign up is not kept.
            $v2 = cached('api:v2:instance-data-response-v2', 1800, fn () => ['domain' => env('APP_DOMAIN'), 'title' => env('APP_NAME', 'Pixelfed'), 'version' => '3.5.3 (compatible; Pixelfed '.VERSION.')', 'description' => env('PF_SHORT_DESCRIPTION', 'Pixelfed'), 'languages' => [env('APP_LOCALE', 'en')], 'rules' => rules()] + limits());
            json($v2 + ['registrations' => ['enabled' => (bool) env('OPEN_REGISTRATION', true), 'approval_required' => (bool) env('INSTANCE_CUR_REG', false)]]);
        case 'GET /.well-known/nodeinfo':
            env('NODEINFO', true) || notFound();
            json(['links' => [['href' => url('/api/nodeinfo/2.0.json'), 'rel' => 'http://nodeinfo.diaspora.software/ns/schema/2.0']]]);
        case 'GET /api/nodeinfo/2.0.json':
        case 'GET /api/nodeinfo/2.0':
            json(['version' => '2.0', 'software' => ['name' => 'pixelfed', 'version' => VERSION], 'protocols' => ['activitypub'], 'services' => ['inbound' => [], 'outbound' => []], 'usage' => ['localPosts' => 0, 'users' => ['total' => (int) db()->scalar('select count(*) from users')]], 'openRegistrations' => (bool) env('OPEN_REGISTRATION', true), 'metadata' => ['nodeName' => env('APP_NAME', 'Pixelfed')]]);
        case 'GET /.well-known/webfinger':
            $domain = env('APP_DOMAIN');
            [$name, $host] = explode('@', preg_replace('/^acct:/', '', $_GET['resource'] ?? '')) + ['', ''];
            $profile = env('WEBFINGER', true) && $host === $domain ? db()->selectOne('select * from profiles where lower(username) = lower(?)', [$name]) : null;
            // What is not here is a bad request, not a missing page.
            $profile || answer(400);
            json(['subject' => "acct:$profile->username@$domain", 'aliases' => [url("/$profile->username"), url("/users/$profile->username")], 'links' => [['rel' => 'http://webfinger.net/rel/profile-page', 'type' => 'text/html', 'href' => url("/$profile->username")], ['rel' => 'self', 'type' => 'application/activity+json', 'href' => url("/users/$profile->username")], ['rel' => 'http://ostatus.org/schema/1.0/subscribe', 'template' => "https://$domain/authorize_interaction?uri={uri}"]]], 200, 'application/json', ['Access-Control-Allow-Origin' => '*']);
        case 'GET /i/actor':
            $actor = db()->selectOne('select * from instance_actors') ?? answer(500, 'Server Error');
            $id = url('/i/actor');
            json(['@context' => ['https://www.w3.org/ns/activitystreams', 'https://w3id.org/security/v1'], 'id' => $id, 'type' => 'Application', 'inbox' => "$id/inbox", 'outbox' => "$id/outbox", 'preferredUsername' => env('APP_DOMAIN'), 'publicKey' => ['id' => "$id#main-key", 'owner' => $id, 'publicKeyPem' => $actor->public_key], 'manuallyApprovesFollowers' => true, 'url' => url('/site/kb/instance-actor')], 200, 'application/activity+json');
        case 'POST /f/inbox':
            takeDelivery($path);
        case 'GET /api/v2/search':
            $user = api('read');
            $found = profileOfHandle((string) ($_GET['q'] ?? ''));
            json(['accounts' => $found ? [account($found)] : [], 'hashtags' => [], 'statuses' => []]);
        case 'GET /api/v1/accounts/relationships':
            $user = api('read');
            $me = profileOf($user->profile_id);
            json(array_map(fn ($id) => relationship($me, profileOf((int) $id)), (array) ($_GET['id'] ?? [])));
        case 'GET /api/v1/timelines/home':
            $user = api('read');
            json(array_map(status(...), db()->select('select * from statuses where deleted_at is null and (profile_id = ? or profile_id in (select following_id from followers where profile_id = ?)) order by id desc limit 20', [$user->profile_id, $user->profile_id])));
        case 'POST /api/v1/apps':
            env('OAUTH_ENABLED', true) || notFound();
            isset($_POST['client_name'], $_POST['redirect_uris']) || invalid('The client name field is required.');
            $secret = bin2hex(random_bytes(20));
            $id = db()->insert('oauth_clients', ['name' => htmlspecialchars($_POST['client_name']), 'secret' => $secret, 'redirect' => str_replace("\n", ',', $_POST['redirect_uris']), 'personal_access_client' => false, 'password_client' => false, 'revoked' => false, 'created_at' => now(), 'updated_at' => now()]);
            json(['id' => (string) $id, 'name' => $_POST['client_name'], 'website' => null, 'redirect_uri' => $_POST['redirect_uris'], 'client_id' => (string) $id, 'client_secret' => $secret, 'vapid_key' => null], 200, 'application/json', ['Access-Control-Allow-Origin' => '*']);
        case 'GET /api/v1/accounts/verify_credentials':
            $user = api('read');
            setLastActive($user);
            json(account(profileOf($user->profile_id)) + ['source' => ['privacy' => 'public', 'sensitive' => false, 'language' => 'en', 'note' => '', 'fields' => []]]);
        case 'POST /api/v1/media':
        case 'POST /api/v2/media':
            upload();
        case 'POST /api/v1/statuses':
            createStatus();
    }
    if ($method === 'POST' && preg_match('#^/api/v1/accounts/(\d+)/follow$#', $path, $found)) {
        json(follow(api('follow'), profileOf((int) $found[1])));
    }
    if ($method === 'GET' && preg_match('#^/api/v1/accounts/(\d+)/followers$#', $path, $found)) {
        api('read');
        json(array_map(account(...), db()->select('select p.* from followers f join profiles p on p.id = f.profile_id where f.following_id = ?', [(int) $found[1]])));
    }
    if ($method === 'GET' && preg_match('#^/api/v1/media/(\d+)$#', $path, $found)) {
        $user = api('read');
        json(media(db()->selectOne('select * from media where id = ? and user_id = ? and status_id is null', [(int) $found[1], $user->id]) ?? notFound()));
    }
    if (preg_match('#^/api/v1/statuses/(\d+)$#', $path, $found)) {
        if ($method === 'GET') {
            api('read');
            json(status(findStatus($found[1])));
        }
        if ($method === 'DELETE') {
            $user = api('write');
            $status = findStatus($found[1]);
            (int) $status->profile_id === (int) $user->profile_id || notFound();
            dispatch('StatusDelete', (int) $status->id, 'delete');
            $json = status($status);
            json(['text' => $json['content']] + array_diff_key($json, ['content' => 0]));
        }
    }
    if (str_starts_with($path, '/api/')) {
        notFound();
    }
}

/** For the host of APP_DOMAIN only. */
function webRoutes(string $method, string $path): void
{
    if (strtok($_SERVER['HTTP_HOST'] ?? '', ':') !== env('APP_DOMAIN')) {
        notFound();
    }
    if ($method === 'POST' && preg_match('#^/users/[\w.-]+/inbox$#', $path)) {
        takeDelivery($path);
    }
    if ($method === 'GET' && preg_match('#^/users/([\w.-]+)$#', $path, $found)) {
        person($found[1]);
    }
    if ($method === 'GET' && preg_match('#^/p/([\w.-]+)/(\d+)$#', $path, $found)) {
        $status = findStatus($found[2]);
        $json = status($status);
        in_array($status->visibility, ['public', 'unlisted'], true) || answer(403, 'Invalid permission');
        if (! wantsJson() || ! env('ACTIVITY_PUB', false)) {
            page('<p>'.$json['content'].'</p>');
        }
        json(['@context' => ['https://w3id.org/security/v1', 'https://www.w3.org/ns/activitystreams']] + note($status), 200, 'application/activity+json');
    }
    if ("$method $path" === 'POST /oauth/token') {
        token();
    }

    // From here on a session, whose cookie is encrypted.
    env('APP_KEY') || throw new \RuntimeException('No application encryption key has been specified.');
    $session = new Session;
    switch ("$method $path") {
        case 'GET /':
            $session->save();
            page('<h1>'.htmlspecialchars((string) env('APP_NAME', 'Pixelfed')).'</h1>');
        case 'GET /login':
            $session->user() && redirect('/i/web');
            $session->save();
            page('<form method="POST" action="'.url('/login').'">'.$session->field().'<input id="email" type="email" name="email" required><input id="password" type="password" name="password" required><button type="submit">Login</button></form>');
        case 'POST /login':
            $session->check();
            $email = (string) ($_POST['email'] ?? '');
            $tries = 'login:'.sha1(strtolower($email).($_SERVER['HTTP_X_FORWARDED_FOR'] ?? ''));
            $user = db()->selectOne('select * from users where email = ?', [$email]);
            if ((int) redis('cache')->get($tries) >= 5 || ! $user || ! password_verify((string) ($_POST['password'] ?? ''), $user->password)) {
                redis('cache')->incr($tries);
                redis('cache')->expire($tries, 3600);
                $session->save();
                redirect('/login');
            }
            $user->email_verified_at || redirect('/i/verify-email');
            redis()->del("session:$session->id");
            $session->id = bin2hex(random_bytes(20));
            $session->data['user'] = $user->id;
            $back = $session->data['intended'] ?? '/i/web';
            unset($session->data['intended']);
            $session->save();
            redirect($back);
        case 'POST /logout':
            $session->check();
            redis()->del("session:$session->id");
            redirect('/');
        case 'GET /i/web':
            $session->user() ? page('<div id="content"></div>') : redirect('/login');
        case 'GET /oauth/authorize':
            if (! $session->user()) {
                $session->data['intended'] = $_SERVER['REQUEST_URI'];
                $session->save();
                redirect('/login');
            }
            $client = db()->selectOne('select * from oauth_clients where id = ? and not revoked', [(int) ($_GET['client_id'] ?? 0)]);
            if (! $client || ! in_array($_GET['redirect_uri'] ?? '', explode(',', $client->redirect), true)) {
                json(['error' => 'invalid_client', 'error_description' => 'Client authentication failed', 'message' => 'Client authentication failed'], 401);
            }
            $session->data['authRequest'] = ['client' => (int) $client->id, 'redirect' => $_GET['redirect_uri'], 'state' => $_GET['state'] ?? null, 'scopes' => preg_split('/ /', $_GET['scope'] ?? 'read', -1, PREG_SPLIT_NO_EMPTY)];
            $session->save();
            $fields = $session->field().'<input type="hidden" name="state" value=""><input type="hidden" name="client_id" value="'.$client->id.'">';
            page('<form method="post" action="'.url('/oauth/authorize')."\">$fields<button type=\"submit\">Authorize</button></form><form method=\"post\" action=\"".url('/oauth/authorize')."\">$fields<input type=\"hidden\" name=\"_method\" value=\"DELETE\"><button>Cancel</button></form>");
        case 'POST /oauth/authorize':
            $session->user() || redirect('/login');
            $session->check();
            $asked = $session->data['authRequest'] ?? throw new \RuntimeException('Authorization request was not present in the session.');
            unset($session->data['authRequest']);
            $session->save();
            $code = 'def50200'.bin2hex(random_bytes(200));
            redis()->setEx('code:'.sha1($code), 600, json_encode($asked + ['user' => $session->data['user']]));
            if ($asked['redirect'] === OUT_OF_BAND) {
                json(['code' => $code, 'state' => $asked['state']]);
            }
            answer(302, '', headers: ['Location' => $asked['redirect'].'?'.http_build_query(array_filter(['code' => $code, 'state' => $asked['state']]))]);
    }
    if ($method === 'GET' && preg_match('#^/(\w[\w.-]*)$#', $path, $found)) {
        person($found[1]);
    }
    notFound();
}

function token(): never
{
    $refuse = fn (int $status, string $error, string $text) => json(['error' => $error, 'error_description' => $text, 'message' => $text], $status);
    $client = db()->selectOne('select * from oauth_clients where id = ? and not revoked', [(int) ($_POST['client_id'] ?? 0)]);
    if (! $client || $client->secret === null || ! hash_equals($client->secret, (string) ($_POST['client_secret'] ?? ''))) {
        $refuse(401, 'invalid_client', 'Client authentication failed');
    }
    if (($_POST['grant_type'] ?? '') !== 'authorization_code') {
        $refuse(400, 'unsupported_grant_type', 'The authorization grant type is not supported by the authorization server.');
    }
    $key = 'code:'.sha1((string) ($_POST['code'] ?? ''));
    $asked = json_decode((string) redis()->get($key), true);
    redis()->del($key);
    if (! $asked || $asked['client'] !== (int) $client->id || $asked['redirect'] !== ($_POST['redirect_uri'] ?? '')) {
        $refuse(400, 'invalid_request', 'The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.');
    }
    $seconds = 86_400 * (int) env('OAUTH_TOKEN_DAYS', 365);
    json(['token_type' => 'Bearer', 'expires_in' => $seconds, 'access_token' => issueToken((int) $client->id, (int) $asked['user'], $asked['scopes'], $client->name, $seconds), 'refresh_token' => 'def50200'.bin2hex(random_bytes(100))]);
}

$method = $_SERVER['REQUEST_METHOD'] === 'HEAD' ? 'GET' : ($_POST['_method'] ?? $_SERVER['REQUEST_METHOD']);
$path = rawurldecode((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
try {
    if ($path === env('HEALTHCHECK_PATH', '/healthcheck') && $path !== '/api/service/health-check') {
        answer(200, 'OK', 'text/plain');
    }
    apiRoutes($method, $path);
    webRoutes($method, $path);
} catch (\Throwable $e) {
    file_put_contents('php://stderr', get_class($e).': '.$e->getMessage()."\n");
    wantsJson() ? json(['message' => 'Server Error'], 500) : page('<h1>Server Error</h1>', 500);
}
