<?php
foreach (['laravel', 'schema', 'passport', 'mail', 'federation', 'jobs', 'commands'] as $file) {
    require_once __DIR__."/../standin/$file.php";
}
