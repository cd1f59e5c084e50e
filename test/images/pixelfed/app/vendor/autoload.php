<?php
foreach (['laravel', 'schema', 'passport', 'mail', 'shapes', 'federation', 'jobs', 'commands'] as $file) {
    require_once __DIR__."/../standin/$file.php";
}
