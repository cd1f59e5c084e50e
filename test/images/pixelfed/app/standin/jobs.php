<?php
// The queue in Redis, and what Horizon does with it.

namespace Standin;

const QUEUES = ['high', 'default', 'follow', 'shared', 'inbox', 'feed', 'low', 'story', 'delete', 'mmo', 'intbg', 'groups', 'adelete', 'move', 'pushnotify'];

function dispatch(string $job, int $id, string $queue = 'default', array $data = []): void
{
    $payload = json_encode(['uuid' => bin2hex(random_bytes(16)), 'job' => $job, 'id' => $id, 'data' => $data, 'attempts' => 0]);
    // Upstream's own default: done at once, and Horizon has nothing to do.
    if (either('QUEUE_CONNECTION', 'QUEUE_DRIVER', 'sync') === 'sync') {
        runJob(json_decode($payload));
    } else {
        redis()->rPush("queues:$queue", $payload);
    }
}

function runJob(object $job): void
{
    match ($job->job) {
        'ImageOptimize' => makeThumbnail($job->id),
        'MediaStorage' => storeMedia($job->id),
        'StatusDelete' => deleteStatus($job->id),
        'NewStatus' => announce($job->id),
        'FanoutDeletePipeline' => fanoutDelete($job->id),
        'Deliver' => deliver($job->id, $job->data),
        'Inbox' => inbox($job->data),
    };
}

/** Cut to a square of at most 640 pixels, beside the original as NAME_thumb.EXT. */
function makeThumbnail(int $id): void
{
    $media = db()->selectOne('select * from media where id = ?', [$id]);
    $path = $media ? BASE.'/storage/app/'.$media->media_path : '';
    if (! $media || ! is_file($path)) {
        return;
    }
    $from = imagecreatefromstring(file_get_contents($path));
    $side = min(imagesx($from), imagesy($from));
    $small = min($side, 640);
    $to = imagecreatetruecolor($small, $small);
    imagecopyresampled($to, $from, 0, 0, intdiv(imagesx($from) - $side, 2), intdiv(imagesy($from) - $side, 2), $small, $small, $side, $side);
    $thumb = preg_replace('/(\.\w+)$/', '_thumb$1', $media->media_path);
    $file = BASE."/storage/app/$thumb";
    match ($media->mime) {
        'image/png' => imagepng($to, $file), 'image/webp' => imagewebp($to, $file), default => imagejpeg($to, $file)
    };
    db()->update('update media set thumbnail_path = ?, thumbnail_url = ?, processed_at = ? where id = ?', [$thumb, url(preg_replace('#^public/#', '/storage/', $thumb)), now(), $id]);
    dispatch('MediaStorage', $id);
}

function deleteStatus(int $id): void
{
    foreach (db()->select('select * from media where status_id = ?', [$id]) as $media) {
        foreach ([$media->media_path, $media->thumbnail_path] as $path) {
            if ($path && ! $media->remote_url && env('PF_ENABLE_CLOUD', false) && s3('HEAD', $path) === 200) {
                s3('DELETE', $path);
            }
            if ($path && is_file(BASE."/storage/app/$path")) {
                unlink(BASE."/storage/app/$path");
            }
        }
    }
    db()->update('delete from media where status_id = ?', [$id]);
    db()->update('update statuses set deleted_at = ? where id = ?', [now(), $id]);
    redis('cache')->del("status:$id");
}

/** The master: says every second that it is there, works until it is told to stop, and ends what it has begun. */
function horizon(): int
{
    $stop = $paused = false;
    pcntl_async_signals(true);
    foreach ([SIGTERM, SIGINT] as $signal) {
        pcntl_signal($signal, function () use (&$stop) {
            $stop = true;
        });
    }
    pcntl_signal(SIGUSR2, function () use (&$paused) {
        $paused = true;
    });
    pcntl_signal(SIGCONT, function () use (&$paused) {
        $paused = false;
    });
    $master = gethostname().'-'.bin2hex(random_bytes(2));
    // Workers are set up for some environments only.
    $queues = in_array(env('APP_ENV', 'production'), ['production', 'local'], true) ? array_map(fn ($queue) => "queues:$queue", QUEUES) : [];
    while (! $stop) {
        sayHello($master, (bool) $queues, $paused);
        if ($paused || ! $queues) {
            sleep(1);

            continue;
        }
        $found = redis()->blPop($queues, 1);
        if (! $found) {
            continue;
        }
        $job = json_decode($found[1]);
        $queue = substr(strrchr($found[0], ':'), 1);
        try {
            runJob($job);
            echo '  ', now(), " App\\Jobs\\$job->job DONE\n";
        } catch (\Throwable $e) {
            $job->attempts++;
            if ($job->attempts < (int) env('HORIZON_SUPERVISOR_TRIES', 3)) {
                redis()->rPush("queues:$queue", json_encode($job));
            } else {
                db()->insert('failed_jobs', ['queue' => $queue, 'payload' => json_encode($job), 'exception' => $e->getMessage(), 'failed_at' => now()]);
                $id = bin2hex(random_bytes(16));
                redis('horizon')->hMSet($id, ['id' => $id, 'queue' => $queue, 'name' => $job->job, 'status' => 'failed', 'failed_at' => (string) microtime(true)]);
                redis('horizon')->zAdd('failed_jobs', -microtime(true), $id);
            }
            echo '  ', now(), " App\\Jobs\\$job->job FAIL ", $e->getMessage(), "\n";
        }
    }
    redis('horizon')->del("master:$master", "supervisor:$master:supervisor-1");
    redis('horizon')->zRem('masters', $master);
    redis('horizon')->zRem('supervisors', "$master:supervisor-1");

    return 0;
}

/** Keys and fields as in the original, which has several supervisors. */
function sayHello(string $master, bool $works, bool $paused): void
{
    $status = $paused ? 'paused' : 'running';
    $name = "$master:supervisor-1";
    $horizon = redis('horizon');
    $horizon->hMSet("master:$master", ['name' => $master, 'environment' => env('APP_ENV', 'production'), 'pid' => getmypid(), 'status' => $status, 'supervisors' => json_encode($works ? [$name] : [])]);
    $horizon->zAdd('masters', time(), $master);
    $horizon->expire("master:$master", 15);
    if (! $works) {
        return;
    }
    $horizon->hMSet("supervisor:$name", ['name' => $name, 'master' => $master, 'pid' => getmypid(), 'status' => $status, 'processes' => json_encode(['redis:'.implode(',', QUEUES) => 1]), 'options' => '{}']);
    $horizon->zAdd('supervisors', time(), $name);
    $horizon->expire("supervisor:$name", 30);
}

/** Masters that are there. */
function masters(): array
{
    $names = redis('horizon')->zRangeByScore('masters', (string) (time() - 14), '+inf');
    $masters = array_map(fn ($name) => (object) redis('horizon')->hGetAll("master:$name"), $names);

    return array_filter($masters, fn ($one) => isset($one->pid));
}

/** The tasks: [when it is due, name]. Minutes of the hour, and hours of the day where there are any. */
const TASKS = [
    ['*/5 * * * *', 'horizon:snapshot'],
    ['*/5 * * * *', 'story:gc'],
    ['5 * * * *', 'media:gc'],
    ['40 * * * *', 'media:optimize'],
    ['0 3 * * *', 'gc:failedjobs'],
];

function isDue(string $when, int $time): bool
{
    [$minute, $hour] = explode(' ', $when);
    $fits = fn (string $rule, int $value): bool => $rule === '*' || (str_starts_with($rule, '*/') ? $value % (int) substr($rule, 2) === 0 : (int) $rule === $value);

    return $fits($minute, (int) gmdate('i', $time)) && $fits($hour, (int) gmdate('G', $time));
}

/** What is due in this minute; each on one host only. */
function scheduleRun(): void
{
    $time = time();
    $ran = false;
    foreach (array_filter(TASKS, fn ($task) => isDue($task[0], $time)) as [$when, $name]) {
        $lock = 'framework/schedule-'.sha1("$when$name").gmdate('Hi', $time);
        if (redis('cache')->set($lock, '1', ['nx', 'ex' => 3600])) {
            $ran = true;
            $code = (new Kernel)->handle([$name]);
            echo '  ', now(), " Running ['artisan' $name] ", $code === 0 ? 'DONE' : 'FAIL', "\n";
        }
    }
    if (! $ran) {
        echo "\n   INFO  No scheduled commands are ready to run.\n\n";
    }
}
