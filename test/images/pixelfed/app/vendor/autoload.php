<?php
foreach (['laravel', 'schema', 'passport', 'mail', 's3', 'shapes', 'federation', 'jobs', 'commands'] as $file) {
    require_once __DIR__."/../standin/$file.php";
}
