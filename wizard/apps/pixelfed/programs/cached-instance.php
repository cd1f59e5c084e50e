<?php
/**
 * Removes `keys`, separated by commas, from the cache if `act` is 1. Prints whether the instance information there is that of the
 * settings: `current` or `old`. Version 2 does not cache who may sign up.
 */

$keys = explode(',', $values['keys']);
if ($values['act']) foreach ($keys as $key) $app['cache']->forget($key);
[$rules, $v1, $v2] = array_map(fn ($key) => $app['cache']->get($key), $keys);
$config = $app['config'];
$texts = fn ($rules) => array_column($rules ?? [], 'text');
$wanted = json_decode((string) $config['app.rules'], true) ?: [];
$now = [
  'title' => $config['app.name'], 'short_description' => $config['app.short_description'], 'description' => $config['app.short_description'],
  'email' => $config['instance.email'], 'languages' => [$config['app.locale']],
  'registrations' => (bool) $config['pixelfed.open_registration'], 'approval_required' => (bool) $config['instance.curated_registration.enabled'],
];
$media = ['supported_mime_types' => explode(',', $config['pixelfed.media_types']), 'image_size_limit' => $config['pixelfed.max_photo_size'] * 1024];
$statuses = ['max_media_attachments' => (int) $config['pixelfed.max_album_length']];
$differs = fn ($kept, $now) => array_intersect_key($kept ?? [], $now) != array_intersect_key($now, $kept ?? []);
$old = $rules !== null && $texts($rules) !== $wanted;
foreach ([[$v1, ['description' => 1]], [$v2, ['registrations' => 1]]] as [$kept, $not]) {
  if ($kept === null) continue;
  $old = $old || $texts($kept['rules']) !== $wanted || $differs($kept, array_diff_key($now, $not))
    || $differs($kept['configuration']['media_attachments'], $media) || $differs($kept['configuration']['statuses'], $statuses);
}
echo $old ? 'old' : 'current', PHP_EOL;
