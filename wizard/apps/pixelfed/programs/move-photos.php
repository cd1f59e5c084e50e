<?php
/**
 * Prints photos and videos of this host that belong to posts, as JSON: `files` and `bytes` of those that are old enough, `young`: number
 * of the others. With `limit`, moves so many of them with ids after `after` to the bucket first, with Pixelfed's own code, which changes the
 * posts and deletes the files here, and adds `moved`, `failed`, `error` of the last failure, some `samples` (`url` and `md5`), and `last`:
 * id of the last one, or null if there was none.
 */

$where = 'version <> 4 and remote_media = ? and status_id is not null and profile_id is not null and cdn_url is null and replicated_at is null and deleted_at is null';
$before = gmdate('Y-m-d H:i:s', time() - $values['days'] * 86400);
$result = [];
if ($values['limit']) {
  $result = ['moved' => 0, 'failed' => 0, 'error' => null, 'samples' => [], 'last' => null];
  $rows = $app['db']->select("select id, media_path from media where $where and created_at < ? and id > ? order by id limit ".(int) $values['limit'], [false, $before, $values['after']]);
  foreach ($rows as $row) {
    $result['last'] = (string) $row->id;
    $file = "storage/app/$row->media_path";
    try {
      if (! is_file($file)) throw new RuntimeException("$file does not exist");
      $md5 = md5_file($file);
      App\Services\MediaStorageService::store(App\Media::find($row->id));
      $url = $app['db']->selectOne('select cdn_url from media where id = ?', [$row->id])->cdn_url;
      if (! $url) throw new RuntimeException("Pixelfed did not store $file");
      $result['moved']++;
      if (count($result['samples']) < 3) $result['samples'][] = ['url' => $url, 'md5' => $md5];
    } catch (Throwable $e) {
      $result['failed']++;
      $result['error'] = $e->getMessage();
    }
  }
}
$count = fn ($sign) => $app['db']->selectOne("select count(*) as files, coalesce(sum(size), 0) as bytes from media where $where and created_at $sign ?", [false, $before]);
$old = $count('<');
echo json_encode($result + ['files' => (int) $old->files, 'bytes' => (int) $old->bytes, 'young' => (int) $count('>=')->files]), PHP_EOL;
