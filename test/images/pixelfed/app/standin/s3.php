<?php
// The disk in the cloud, asked as the original's SDK asks it.

namespace Standin;

/** Where everybody reads an object. */
function cloudUrl(string $key): string
{
    return rtrim((string) (env('AWS_URL') ?? s3Address('')), '/')."/$key";
}

/** Path-style only when it is told so: else the bucket is part of the host. */
function s3Address(string $key): string
{
    $endpoint = (string) env('AWS_ENDPOINT', 'https://s3.'.env('AWS_DEFAULT_REGION').'.amazonaws.com');
    $bucket = env('AWS_BUCKET');
    $path = implode('/', array_map(rawurlencode(...), explode('/', $key)));

    return env('AWS_USE_PATH_STYLE_ENDPOINT', false) ? "$endpoint/$bucket/$path" : preg_replace('#^(https?://)#', "$1$bucket.", $endpoint)."/$path";
}

/** One signed request (SigV4); throws what the server refuses, as the SDK does. */
function s3(string $method, string $key, string $body = '', array $more = []): int
{
    $url = parse_url(s3Address($key));
    $now = gmdate('Ymd\THis\Z');
    $region = env('AWS_DEFAULT_REGION');
    $headers = ['host' => $url['host'].(isset($url['port']) ? ":{$url['port']}" : ''), 'x-amz-content-sha256' => hash('sha256', $body), 'x-amz-date' => $now] + $more;
    ksort($headers);
    $names = implode(';', array_keys($headers));
    $canonical = "$method\n{$url['path']}\n\n".implode('', array_map(fn ($name) => "$name:{$headers[$name]}\n", array_keys($headers)))."\n$names\n".hash('sha256', $body);
    $scope = substr($now, 0, 8)."/$region/s3/aws4_request";
    $signing = array_reduce(explode('/', $scope), fn ($by, $part) => hash_hmac('sha256', $part, $by, true), 'AWS4'.env('AWS_SECRET_ACCESS_KEY'));
    $signature = hash_hmac('sha256', "AWS4-HMAC-SHA256\n$now\n$scope\n".hash('sha256', $canonical), $signing);
    $headers['authorization'] = 'AWS4-HMAC-SHA256 Credential='.env('AWS_ACCESS_KEY_ID')."/$scope, SignedHeaders=$names, Signature=$signature";
    $context = stream_context_create(['http' => [
        'method' => $method, 'content' => $body, 'ignore_errors' => true, 'timeout' => 20,
        'header' => array_map(fn ($name) => "$name: {$headers[$name]}", array_keys($headers)),
    ]]);
    $answer = file_get_contents(s3Address($key), false, $context);
    $status = (int) explode(' ', $http_response_header[0])[1];
    if ($status >= 400 && ! ($status === 404 && $method === 'HEAD')) {
        throw new \RuntimeException("Unable to $method $key: $status ".(preg_match('#<Code>(\w+)#', $answer, $found) ? $found[1] : ''));
    }

    return $status;
}

/** Puts a file there, public by an ACL whatever the bucket says; a second and a third try. */
function toCloud(string $path): string
{
    $body = file_get_contents(BASE."/storage/app/$path");
    $headers = ['content-type' => mime_content_type(BASE."/storage/app/$path"), 'x-amz-acl' => 'public-read'];
    // The SDK's own variable, in any case.
    if (strtolower((string) env('AWS_REQUEST_CHECKSUM_CALCULATION', 'when_supported')) !== 'when_required') {
        $headers += ['x-amz-checksum-crc32' => base64_encode(pack('N', crc32($body))), 'x-amz-sdk-checksum-algorithm' => 'CRC32'];
    }
    for ($left = 3; ; usleep(200_000)) {
        try {
            s3('PUT', $path, $body, $headers);

            return cloudUrl($path);
        } catch (\Throwable $e) {
            if (--$left === 0) {
                throw $e;
            }
        }
    }
}

/** What came to this host first goes to the bucket; then it is not kept here, unless that is said. */
function storeMedia(int $id): void
{
    $media = db()->selectOne('select * from media where id = ?', [$id]);
    if (! $media || ! env('PF_ENABLE_CLOUD', false)) {
        return;
    }
    $url = toCloud($media->media_path);
    $thumb = $media->thumbnail_path ? toCloud($media->thumbnail_path) : null;
    db()->update('update media set cdn_url = ?, optimized_url = ?, thumbnail_url = coalesce(?, thumbnail_url), replicated_at = ? where id = ?', [$url, $url, $thumb, now(), $id]);
    if (env('MEDIA_DELETE_LOCAL_AFTER_CLOUD', true)) {
        foreach (array_filter([$media->media_path, $media->thumbnail_path]) as $path) {
            unlink(BASE."/storage/app/$path");
        }
    }
}
