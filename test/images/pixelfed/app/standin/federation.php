<?php
// Other servers: who may be talked to, how they are fetched, what they deliver, what is delivered to them.

namespace App\Util\ActivityPub {
    use function Standin\env;
    use function Standin\redis;

    final class Helpers
    {
        private static function normalizeHost(?string $host): ?string
        {
            $host = strtolower(rtrim((string) $host, '.'));
            $fine = $host !== '' && str_contains($host, '.') && filter_var($host, FILTER_VALIDATE_IP) === false
                && filter_var($host, FILTER_VALIDATE_DOMAIN, FILTER_FLAG_HOSTNAME);

            return $fine ? $host : null;
        }

        /** Every address of a host; none where one of them is not the world's. */
        public static function resolvePublicIps(string $host): array
        {
            $host = self::normalizeHost($host);
            if ($host === null) {
                return [];
            }
            $key = 'helpers:url:public-ips:sha256-'.hash('sha256', $host);
            $known = redis('cache')->get($key);
            if ($known !== false) {
                return json_decode($known);
            }
            $found = [];
            foreach ([DNS_A, DNS_AAAA] as $type) {
                foreach (@dns_get_record("$host.", $type) ?: [] as $record) {
                    $found[] = $record['ip'] ?? $record['ipv6'];
                }
            }
            foreach ($found as $address) {
                if (filter_var($address, FILTER_VALIDATE_IP, FILTER_FLAG_GLOBAL_RANGE) === false) {
                    $found = [];
                    break;
                }
            }
            redis('cache')->setEx($key, 60, json_encode($found));

            return $found;
        }

        public static function validateUrl(mixed $url): string|bool
        {
            $parts = is_string($url) ? parse_url($url) : [];
            $host = self::normalizeHost($parts['host'] ?? null);

            return ($parts['scheme'] ?? '') === 'https' && $host !== null && self::resolvePublicIps($host) !== [] ? $url : false;
        }

        /** One of our own; our own domain is looked up as any other. */
        public static function validateLocalUrl(string $url): string|bool
        {
            return self::validateUrl($url) && strcasecmp(parse_url($url, PHP_URL_HOST), (string) env('APP_DOMAIN')) === 0 ? $url : false;
        }
    }
}

namespace App {
    use function Standin\db;

    /** As much of the models and jobs as scripts on standard input use. */
    final class Profile
    {
        private function __construct(public readonly int $id) {}

        public static function find(mixed $id): ?self
        {
            return db()->selectOne('select id from profiles where id = ?', [(int) $id]) ? new self((int) $id) : null;
        }
    }
}

namespace App {
    final class Media
    {
        private function __construct(public readonly int $id) {}

        public static function find(mixed $id): ?self
        {
            return \Standin\db()->selectOne('select id from media where id = ?', [(int) $id]) ? new self((int) $id) : null;
        }
    }
}

namespace App\Services {
    final class MediaStorageService
    {
        public static function store(\App\Media $media): void
        {
            \Standin\storeMedia($media->id);
        }
    }
}

namespace App\Jobs\DeletePipeline {
    use function Standin\dispatch;

    /** Queued when the last reference is gone, as Laravel does it. */
    final class FanoutDeletePipeline
    {
        private string $queue = 'default';

        private function __construct(private readonly \App\Profile $profile) {}

        public static function dispatch(\App\Profile $profile): self
        {
            return new self($profile);
        }

        public function onQueue(string $queue): self
        {
            $this->queue = $queue;

            return $this;
        }

        public function __destruct()
        {
            dispatch('FanoutDeletePipeline', $this->profile->id, $this->queue);
        }
    }
}

namespace Standin {
    use App\Util\ActivityPub\Helpers;

    const PUBLIC_TIMELINE = 'https://www.w3.org/ns/activitystreams#Public';

    function actorUrl(object $profile): string
    {
        return $profile->remote_url ?? url("/users/$profile->username");
    }

    /** Headers of a signed request (draft-cavage-http-signatures). */
    function signed(string $method, string $url, string $keyId, string $key, ?string $body): array
    {
        $parts = parse_url($url);
        $headers = ['(request-target)' => "$method ".($parts['path'] ?? '/').(isset($parts['query']) ? "?$parts[query]" : ''), 'host' => $parts['host'], 'date' => gmdate('D, d M Y H:i:s \G\M\T')];
        if ($body !== null) {
            $headers['digest'] = 'SHA-256='.base64_encode(hash('sha256', $body, true));
        }
        $text = implode("\n", array_map(fn ($name) => "$name: $headers[$name]", array_keys($headers)));
        openssl_sign($text, $signature, $key, OPENSSL_ALGO_SHA256);
        $lines = ['Signature: keyId="'.$keyId.'",algorithm="rsa-sha256",headers="'.implode(' ', array_keys($headers)).'",signature="'.base64_encode($signature).'"'];
        foreach (array_slice($headers, 1) as $name => $value) {
            $lines[] = ucfirst($name).": $value";
        }

        return $lines;
    }

    /** The body of an answer of 2xx; thrown: what went wrong. Goes to the addresses that were looked at, to no others. */
    function outside(string $method, string $url, string $keyId, string $key, ?string $body = null, string $accept = 'application/activity+json'): string
    {
        if (! Helpers::validateUrl($url)) {
            throw new \RuntimeException("refused: $url");
        }
        $host = parse_url($url, PHP_URL_HOST);
        $curl = curl_init($url);
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 15, CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_RESOLVE => ["$host:443:".implode(',', Helpers::resolvePublicIps($host))],
            CURLOPT_HTTPHEADER => ["Accept: $accept", 'User-Agent: PixelFedBot/1.0.0 (Pixelfed/'.VERSION.'; +'.url().')', 'Content-Type: application/ld+json; profile="https://www.w3.org/ns/activitystreams"', ...signed($method, $url, $keyId, $key, $body)],
        ] + ($body === null ? [] : [CURLOPT_CUSTOMREQUEST => 'POST', CURLOPT_POSTFIELDS => $body]));
        $said = curl_exec($curl);
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($said === false || intdiv($status, 100) !== 2) {
            throw new \RuntimeException("$method $url: ".($said === false ? curl_error($curl) : "answered $status"));
        }

        return $said;
    }

    /** As the server's own actor. */
    function fetch(string $url, string $accept = 'application/activity+json'): array
    {
        $actor = db()->selectOne('select * from instance_actors');

        return json_decode(outside('get', $url, url('/i/actor#main-key'), $actor->private_key, null, $accept), true) ?: throw new \RuntimeException("$url is no JSON");
    }

    /** A person's profile by the address of the actor, fetched where it is new; null: it may not be. */
    function profileFetch(mixed $url): ?object
    {
        if (! is_string($url) || ! Helpers::validateUrl($url)) {
            return null;
        }
        if (Helpers::validateLocalUrl($url)) {
            return db()->selectOne('select * from profiles where username = ? and domain is null', [basename(parse_url($url, PHP_URL_PATH))]);
        }
        $known = db()->selectOne('select * from profiles where remote_url = ?', [$url]);
        if ($known) {
            return $known;
        }
        $actor = fetch($url);
        if (($actor['id'] ?? null) !== $url || ! Helpers::validateUrl($actor['inbox'] ?? null) || ! isset($actor['publicKey']['publicKeyPem'])) {
            return null;
        }
        $host = parse_url($url, PHP_URL_HOST);
        db()->insert('profiles', ['id' => snowflake(), 'domain' => $host, 'username' => "@$actor[preferredUsername]@$host", 'name' => $actor['name'] ?? '', 'public_key' => $actor['publicKey']['publicKeyPem'], 'remote_url' => $url, 'inbox_url' => $actor['inbox'], sharedInbox() => $actor['endpoints']['sharedInbox'] ?? null, 'created_at' => now(), 'updated_at' => now()]);

        return db()->selectOne('select * from profiles where remote_url = ?', [$url]);
    }

    /** `@anna@social.example.org` → the profile. */
    function profileOfHandle(string $handle): ?object
    {
        [$name, $host] = explode('@', ltrim($handle, '@')) + ['', ''];
        if (strcasecmp($host, (string) env('APP_DOMAIN')) === 0) {
            return db()->selectOne('select * from profiles where username = ? and domain is null', [$name]);
        }
        $record = fetch("https://$host/.well-known/webfinger?resource=acct:$name@$host", 'application/jrd+json, application/json');
        foreach ($record['links'] ?? [] as $link) {
            if (($link['rel'] ?? '') === 'self' && str_contains($link['type'] ?? '', 'activity+json')) {
                return profileFetch($link['href']);
            }
        }

        return null;
    }

    /** By Horizon. */
    function send(object $from, string $inbox, array $activity): void
    {
        dispatch('Deliver', (int) $from->id, 'high', ['inbox' => $inbox, 'body' => json_encode(['@context' => 'https://www.w3.org/ns/activitystreams'] + $activity, JSON_UNESCAPED_SLASHES)]);
    }

    function deliver(int $profile, object $data): void
    {
        $from = db()->selectOne('select * from profiles where id = ?', [$profile]);
        outside('post', $data->inbox, actorUrl($from).'#main-key', $from->private_key, $data->body);
    }

    /** The deletion of an account, once to each shared inbox that is known; who does not answer is not remembered. */
    function fanoutDelete(int $profile): void
    {
        $from = db()->selectOne('select * from profiles where id = ?', [$profile]);
        $me = actorUrl($from);
        $body = json_encode(['@context' => 'https://www.w3.org/ns/activitystreams', 'id' => "$me#delete", 'type' => 'Delete', 'actor' => $me, 'object' => ['type' => 'Person', 'id' => $me]], JSON_UNESCAPED_SLASHES);
        $inboxes = Application::instance()['cache']->get('pf:ap:known_instances') ?? array_column(db()->select('select distinct '.sharedInbox().' as inbox from profiles where '.sharedInbox().' is not null'), 'inbox');
        Application::instance()['cache']->put('pf:ap:known_instances', $inboxes, 21_600);
        foreach ($inboxes as $inbox) {
            try {
                outside('post', $inbox, "$me#main-key", $from->private_key, $body);
            } catch (\RuntimeException) {
                // As the original, which has no word for it.
            }
        }
    }

    function note(object $status): array
    {
        $json = status($status);
        $actor = url('/users/'.$json['account']['username']);

        return ['id' => $json['url'], 'type' => 'Note', 'content' => $json['content'], 'published' => gmdate('c', strtotime("$status->created_at UTC")), 'url' => $json['url'], 'attributedTo' => $actor, 'to' => [PUBLIC_TIMELINE], 'cc' => ["$actor/followers"], 'sensitive' => false, 'attachment' => array_map(fn ($one) => ['type' => 'Image', 'mediaType' => $one['mime'], 'url' => $one['url'], 'name' => $one['description']], $json['media_attachments'])];
    }

    /** A new post to the inbox of each follower elsewhere. */
    function announce(int $id): void
    {
        $status = db()->selectOne('select * from statuses where id = ?', [$id]);
        if (! $status || ! in_array($status->visibility, ['public', 'unlisted'], true) || ! env('ACTIVITY_PUB', false)) {
            return;
        }
        $from = db()->selectOne('select * from profiles where id = ?', [$status->profile_id]);
        $note = note($status);
        $activity = ['id' => "$note[id]/activity", 'type' => 'Create', 'actor' => $note['attributedTo'], 'published' => $note['published'], 'to' => $note['to'], 'cc' => $note['cc'], 'object' => $note];
        foreach (db()->select('select distinct p.inbox_url from followers f join profiles p on p.id = f.profile_id where f.following_id = ? and p.domain is not null', [$from->id]) as $one) {
            send($from, $one->inbox_url, $activity);
        }
    }

    /** What another server left in an inbox, when Horizon comes to it. */
    function inbox(object $data): void
    {
        $activity = json_decode($data->body, true);
        preg_match_all('/(\w+)="([^"]*)"/', $data->headers->signature, $found);
        $given = array_combine($found[1], $found[2]);
        $actor = profileFetch(strtok($given['keyId'] ?? '', '#'));
        if (! $actor || ($activity['actor'] ?? null) !== $actor->remote_url || $data->headers->digest !== 'SHA-256='.base64_encode(hash('sha256', $data->body, true))) {
            return;
        }
        $text = implode("\n", array_map(fn ($name) => "$name: ".($name === '(request-target)' ? "post $data->path" : $data->headers->{$name}), explode(' ', $given['headers'])));
        if (openssl_verify($text, base64_decode($given['signature']), $actor->public_key, OPENSSL_ALGO_SHA256) !== 1) {
            return;
        }
        match ($activity['type'] ?? '') {
            'Follow' => followed($actor, $activity), 'Accept' => accepted($actor, $activity), 'Create' => received($actor, $activity), default => null
        };
    }

    function followed(object $actor, array $activity): void
    {
        $target = profileFetch($activity['object']);
        if (! $target || $target->domain !== null) {
            return;
        }
        if (! db()->scalar('select count(*) from followers where profile_id = ? and following_id = ?', [$actor->id, $target->id])) {
            db()->insert('followers', ['profile_id' => $actor->id, 'following_id' => $target->id, 'created_at' => now(), 'updated_at' => now()]);
        }
        $me = actorUrl($target);
        send($target, $actor->inbox_url, ['id' => "$me#accepts/follows/".snowflake(), 'type' => 'Accept', 'actor' => $me, 'object' => ['id' => $activity['id'], 'type' => 'Follow', 'actor' => $actor->remote_url, 'object' => $me]]);
    }

    function accepted(object $actor, array $activity): void
    {
        if (! Helpers::validateLocalUrl((string) ($activity['object']['actor'] ?? ''))) {
            return;
        }
        $me = profileFetch($activity['object']['actor']);
        if ($me && db()->update('delete from follow_requests where follower_id = ? and following_id = ?', [$me->id, $actor->id])) {
            db()->insert('followers', ['profile_id' => $me->id, 'following_id' => $actor->id, 'created_at' => now(), 'updated_at' => now()]);
        }
    }

    /** Only what has pictures, of somebody who is followed. */
    function received(object $actor, array $activity): void
    {
        $note = $activity['object'];
        $pictures = array_filter($note['attachment'] ?? [], fn ($one) => Helpers::validateUrl($one['url'] ?? null) && str_starts_with($one['mediaType'] ?? '', 'image/'));
        if (! $pictures || ! Helpers::validateUrl($note['id']) || ! db()->scalar('select count(*) from followers where following_id = ?', [$actor->id]) || db()->scalar('select count(*) from statuses where uri = ?', [$note['id']])) {
            return;
        }
        $id = snowflake();
        db()->insert('statuses', ['id' => $id, 'profile_id' => $actor->id, 'caption' => strip_tags($note['content']), 'rendered' => $note['content'], 'type' => 'photo', 'scope' => 'public', 'visibility' => 'public', 'uri' => $note['id'], 'created_at' => now(), 'updated_at' => now()]);
        foreach ($pictures as $one) {
            db()->insert('media', ['status_id' => $id, 'profile_id' => $actor->id, 'media_path' => $one['url'], 'mime' => $one['mediaType'], 'size' => 0, 'caption' => '', 'remote_url' => $one['url'], 'created_at' => now(), 'updated_at' => now()]);
        }
    }

    function takeDelivery(string $path): never
    {
        env('ACTIVITY_PUB', false) || answer(404);
        if (! isset($_SERVER['HTTP_SIGNATURE'], $_SERVER['HTTP_DIGEST'], $_SERVER['HTTP_DATE'])) {
            answer(400);
        }
        $headers = ['signature' => $_SERVER['HTTP_SIGNATURE'], 'digest' => $_SERVER['HTTP_DIGEST'], 'date' => $_SERVER['HTTP_DATE'], 'host' => $_SERVER['HTTP_HOST'], 'content-type' => $_SERVER['CONTENT_TYPE'] ?? '', 'content-length' => $_SERVER['CONTENT_LENGTH'] ?? ''];
        dispatch('Inbox', 0, 'inbox', ['path' => $path, 'headers' => $headers, 'body' => file_get_contents('php://input')]);
        answer(200);
    }

    function follow(object $user, object $target): array
    {
        $me = db()->selectOne('select * from profiles where id = ?', [$user->profile_id]);
        if (! db()->scalar('select count(*) from followers where profile_id = ? and following_id = ?', [$me->id, $target->id])) {
            db()->insert('follow_requests', ['follower_id' => $me->id, 'following_id' => $target->id, 'created_at' => now(), 'updated_at' => now()]);
            send($me, $target->inbox_url, ['id' => actorUrl($me).'#follow/'.$target->id, 'type' => 'Follow', 'actor' => actorUrl($me), 'object' => $target->remote_url]);
        }

        return relationship($me, $target);
    }

    function relationship(object $me, object $other): array
    {
        $is = fn (string $table, string $from, object $one, object $two): bool => (bool) db()->scalar("select count(*) from $table where $from = ? and following_id = ?", [$one->id, $two->id]);

        return ['id' => (string) $other->id, 'following' => $is('followers', 'profile_id', $me, $other), 'followed_by' => $is('followers', 'profile_id', $other, $me), 'requested' => $is('follow_requests', 'follower_id', $me, $other)];
    }
}
