<?php
/** Prints when the scheduler last ran the task that records Horizon's statistics: Unix time in seconds, or 0. */

echo (int) $app['redis']->connection('horizon')->get('last_snapshot_at'), PHP_EOL;
