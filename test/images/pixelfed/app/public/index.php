<?php
$path = rawurldecode((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if (preg_match('#^/storage/.*\.php$|\.(bak|conf|config|dist|inc|ini|log|sh|sql|swp)$|/\.(?!well-known/)#', $path)) {
    http_response_code(403);
    exit;
}
if ($path !== '/' && $path !== '/index.php' && is_file(__DIR__.$path)) {
    return false;
}
require __DIR__.'/../vendor/autoload.php';
require __DIR__.'/../standin/web.php';
