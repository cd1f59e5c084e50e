<?php
// How records look from outside.

namespace Standin;

function account(object $profile): array
{
    $acct = ltrim($profile->username, '@');

    return ['id' => (string) $profile->id, 'username' => strtok($acct, '@'), 'acct' => $acct, 'display_name' => $profile->name, 'locked' => false, 'note' => '', 'url' => $profile->remote_url ?? url("/$profile->username"), 'avatar' => url('/storage/avatars/default.jpg?v=0')];
}

function media(object $one): array
{
    $link = fn (?string $path) => str_starts_with((string) $path, 'https://') ? $path : url(preg_replace('#^public/#', '/storage/', (string) $path));

    return ['id' => (string) $one->id, 'type' => 'image', 'mime' => $one->mime, 'url' => $one->cdn_url ?? $link($one->media_path), 'remote_url' => $one->remote_url, 'preview_url' => $one->thumbnail_url ?? $link($one->thumbnail_path ?? $one->media_path), 'text_url' => null, 'meta' => null, 'description' => $one->caption];
}

function status(object $status): array
{
    $profile = db()->selectOne('select * from profiles where id = ?', [$status->profile_id]);
    $url = $status->uri ?? url("/p/$profile->username/$status->id");
    $attached = db()->select('select * from media where status_id = ? order by id', [$status->id]);

    return ['id' => (string) $status->id, 'created_at' => $status->created_at, 'visibility' => $status->visibility, 'uri' => $url, 'url' => $url, 'content' => nl2br(htmlspecialchars((string) $status->caption)), 'account' => account($profile), 'media_attachments' => array_map(media(...), $attached), 'mentions' => [], 'tags' => [], 'emojis' => []];
}
