<?php
// artisan, with the words and the exit codes of the original, the wrong ones too.

namespace Standin;

final class Kernel implements \Illuminate\Contracts\Console\Kernel
{
    private string $output = '';

    public function bootstrap(): void {}

    public function output(): string
    {
        return $this->output;
    }

    /** From inside PHP: options as an array, what goes wrong is thrown. */
    public function call($command, array $parameters = []): int
    {
        ob_start();
        try {
            return $this->dispatch($command, $parameters, []);
        } finally {
            $this->output = ob_get_clean();
        }
    }

    /** From the command line: what goes wrong is said, with exit code 1. */
    public function handle(array $words): int
    {
        $options = $arguments = [];
        foreach (array_slice($words, 1) as $word) {
            if (preg_match('/^(--[\w-]+)(?:=(.*))?$/s', $word, $found)) {
                $options[$found[1]] = $found[2] ?? true;
            } else {
                $arguments[] = $word;
            }
        }
        try {
            return $this->dispatch($words[0] ?? 'list', $options, $arguments);
        } catch (\Throwable $e) {
            file_put_contents('php://stderr', "\n   ".get_class($e)."\n\n  {$e->getMessage()}\n\n");

            return 1;
        }
    }

    private function dispatch(string $name, array $options, array $arguments): int
    {
        $name = ['--version' => 'version', '-V' => 'version'][$name] ?? $name;
        $method = 'do'.str_replace(' ', '', ucwords(strtr($name, ':-', '  ')));
        if (! method_exists($this, $method)) {
            file_put_contents('php://stderr', "\n   ERROR  Command \"$name\" is not defined.\n\n");

            return 1;
        }

        return $this->$method($options, $arguments) ?? 0;
    }

    private function doList(): void
    {
        foreach (get_class_methods($this) as $method) {
            if (str_starts_with($method, 'do')) {
                echo '  ', ltrim(strtolower(preg_replace('/[A-Z]/', ':$0', substr($method, 2))), ':'), "\n";
            }
        }
    }

    private function doVersion(): void
    {
        echo "Laravel Framework 13.0.0\n";
    }

    private function doStandinDb(): void
    {
        db()->scalar('select 1');
    }

    private function doKeyGenerate(array $o): ?int
    {
        $key = 'base64:'.base64_encode(random_bytes(32));
        if (isset($o['--show'])) {
            echo "$key\n";

            return 0;
        }
        if (! is_file(BASE.'/.env')) {
            throw new \ErrorException('file_get_contents('.BASE.'/.env): Failed to open stream: No such file or directory');
        }
        echo "\n   ERROR  Unable to set application key. No APP_KEY variable was found in the .env file.\n\n";

        return 0;
    }

    private function doStorageLink(array $o): void
    {
        $link = BASE.'/public/storage';
        if (is_link($link) && ! isset($o['--force'])) {
            echo "\n   ERROR  The [public/storage] link already exists.\n\n";

            return;
        }
        if (is_link($link)) {
            unlink($link);
        }
        symlink('/var/www/html/storage/app/public', $link);
        echo "\n   INFO  The [public/storage] link has been connected to [storage/app/public].\n\n";
    }

    private function doMigrate(array $o): int
    {
        if (env('APP_ENV', 'production') === 'production' && ! isset($o['--force'])) {
            echo "\n   APPLICATION IN PRODUCTION.\n\n   WARN  Command cancelled.\n\n";

            return 1;
        }
        if (isset($o['--isolated']) && ! redis('cache')->set('framework/command-migrate', '1', ['nx', 'ex' => 3600])) {
            echo "\n   INFO  The [migrate] command is already running.\n\n";

            return 0;
        }
        try {
            if (! db()->hasTable('migrations')) {
                echo "\n   INFO  Preparing database.\n\n  Creating migration table ... DONE\n";
                db()->statement('create table migrations (id '.(db()->getDriverName() === 'pgsql' ? 'serial primary key' : 'int unsigned auto_increment primary key').', migration varchar(255) not null, batch int not null)');
            }
            $pending = pendingMigrations();
            if (! $pending) {
                echo "\n   INFO  Nothing to migrate.\n\n";

                return 0;
            }
            echo "\n   INFO  Running migrations.\n\n";
            $batch = 1 + (int) db()->scalar('select max(batch) from migrations');
            foreach ($pending as $name) {
                runMigration($name, $batch);
                echo "  $name ... DONE\n";
            }
            echo "\n";

            return 0;
        } finally {
            if (isset($o['--isolated'])) {
                redis('cache')->del('framework/command-migrate');
            }
        }
    }

    private function doMigrateStatus(array $o): int
    {
        if (! db()->hasTable('migrations')) {
            echo "\n   ERROR  Migration table not found.\n\n";

            return 1;
        }
        $pending = pendingMigrations();
        if (isset($o['--pending'])) {
            if (! $pending) {
                echo "\n   INFO  No pending migrations.\n\n";

                return 0;
            }
            echo implode("\n", array_map(fn ($name) => "  $name ... Pending", $pending)), "\n";

            return is_string($o['--pending']) ? (int) $o['--pending'] : 0;
        }
        foreach (array_keys(MIGRATIONS) as $name) {
            echo "  $name ... ", in_array($name, $pending, true) ? 'Pending' : '[1] Ran', "\n";
        }

        return 0;
    }

    private function doImportCities(array $o, array $arguments): void
    {
        $file = BASE.'/storage/app/cities.json';
        if (! is_file($file) || hash_file('sha512', $file) !== file_get_contents(BASE.'/standin/cities.sha512')) {
            echo "Invalid or corrupt storage/app/cities.json data.\n\nRun the following command to fix:\ngit checkout storage/app/cities.json\n";

            return;
        }
        if (db()->scalar('select count(*) from places') > 0) {
            db()->statement('truncate table places');
        }
        echo "Importing city data into database ...\n";
        $cities = json_decode(file_get_contents($file));
        echo "\nFound ", count($cities), " cities to insert ...\n\n";
        $long = db()->getDriverName() === 'pgsql' ? '"long"' : '`long`';
        foreach (array_chunk($cities, (int) ($arguments[0] ?? 1000)) as $chunk) {
            $row = '(?, ?, ?, ?, ?)';
            db()->statement("insert into places (name, slug, country, lat, $long) values ".implode(', ', array_fill(0, count($chunk), $row)), array_merge(...array_map(fn ($city) => [$city->name, strtolower(str_replace(' ', '-', $city->name)), $city->country, $city->lat, $city->lng], $chunk)));
        }
        echo "\n\nSuccessfully imported ", count($cities), " entries!\n\n";
    }

    private function doInstanceActor(): void
    {
        if (! db()->hasTable('instance_actors')) {
            echo " \nMissing instance_actors table.\nRun \"php artisan migrate\" and try again.\n \n";

            return;
        }
        if (! db()->scalar('select count(*) from instance_actors')) {
            [$private, $public] = keyPair(2048);
            db()->insert('instance_actors', ['private_key' => $private, 'public_key' => $public, 'created_at' => now(), 'updated_at' => now()]);
        }
        echo "Instance actor succesfully generated. You do not need to run this command again.\n";
    }

    private function doPassportKeys(array $o): int
    {
        [$private, $public] = [BASE.'/storage/oauth-private.key', BASE.'/storage/oauth-public.key'];
        if ((is_file($private) || is_file($public)) && ! isset($o['--force'])) {
            echo "\n   ERROR  Encryption keys already exist. Use the --force option to overwrite them.\n\n";

            return 1;
        }
        $pair = keyPair((int) ($o['--length'] ?? 4096));
        file_put_contents($private, $pair[0]);
        file_put_contents($public, $pair[1]);
        chmod($private, 0600);
        chmod($public, 0660);
        echo "\n   INFO  Encryption keys generated successfully.\n\n";

        return 0;
    }

    private function doPassportClient(array $o): int
    {
        if (! isset($o['--personal'])) {
            throw new \RuntimeException('Aborted.');
        }
        if (! isset($o['--no-interaction']) && (! isset($o['--name']) || ! isset($o['--provider']))) {
            // The original asks, and waits.
            while (true) {
                sleep(60);
            }
        }
        $id = db()->insert('oauth_clients', ['name' => $o['--name'] ?? env('APP_NAME', 'Pixelfed'), 'secret' => null, 'provider' => $o['--provider'] ?? 'users', 'redirect' => 'http://localhost', 'personal_access_client' => true, 'password_client' => false, 'revoked' => false, 'created_at' => now(), 'updated_at' => now()]);
        echo "\n   INFO  New client created successfully.\n\n  Client ID ... $id\n";

        return 0;
    }

    /** Both end with 0 whatever they did. */
    private function doMediaMigrate2cloud(array $o): void
    {
        if (! env('PF_ENABLE_CLOUD', false)) {
            echo "Cloud storage not enabled. Exiting...\n";

            return;
        }
        if (! $this->confirm('Are you sure you want to proceed?', $o)) {
            return;
        }
        $limit = (int) ($o['--limit'] ?? 200);
        if ($limit > 500 && ! isset($o['--huge'])) {
            echo "Max limit exceeded, use a limit lower than 500 or run again with the --huge flag\n";

            return;
        }
        $moved = 0;
        foreach (db()->select("select * from media where version <> 4 and created_at < ? and remote_media = ? and status_id is not null and profile_id is not null and cdn_url is null and replicated_at is null order by size desc limit $limit", [now(-2 * 86_400), false]) as $media) {
            if (! is_file(BASE."/storage/app/$media->media_path")) {
                continue;
            }
            try {
                $moved += $media->size;
                storeMedia((int) $media->id);
            } catch (\Throwable $e) {
                echo "Error migrating media $media->id to cloud storage: ", $e->getMessage(), "\n";
            }
        }
        echo " \nFinished!\n", $moved ? "Uploaded $moved B of media to cloud storage!\n" : '';
    }

    private function doUserCreate(array $o): int
    {
        echo "Creating a new user...\n";
        if (empty($o['--name']) || empty($o['--username']) || empty($o['--email']) || empty($o['--password'])) {
            echo "\n Name:\n > ";
            throw new \RuntimeException('Aborted.');
        }
        $id = db()->insert('users', ['name' => $o['--name'], 'username' => $o['--username'], 'email' => $o['--email'], 'password' => password_hash($o['--password'], PASSWORD_BCRYPT), 'is_admin' => ($o['--is_admin'] ?? '0') == 'true', 'email_verified_at' => ($o['--confirm_email'] ?? '0') ? now() : null, 'created_at' => now(), 'updated_at' => now()]);
        $profile = snowflake();
        [$private, $public] = keyPair(2048);
        db()->insert('profiles', ['id' => $profile, 'user_id' => $id, 'username' => $o['--username'], 'name' => $o['--name'], 'private_key' => $private, 'public_key' => $public, 'created_at' => now(), 'updated_at' => now()]);
        db()->update('update users set profile_id = ? where id = ?', [$profile, $id]);
        echo "Successfully created user!\n";

        return 0;
    }

    private function doUserShow(array $o, array $arguments): void
    {
        $user = db()->selectOne('select * from users where username = ? or cast(id as char(20)) = ?', [$arguments[0] ?? '', $arguments[0] ?? '']);
        if (! $user) {
            echo "Could not find any user with that username or id.\n";

            return;
        }
        echo "User ID: $user->id\nUsername: $user->username\nEmail: $user->email\nAdmin: ", $user->is_admin ? 'true' : 'false', "\n";
    }

    /** Without an answer it is a no, as at the end of standard input. */
    private function confirm(string $question, array $o): bool
    {
        echo "\n $question (yes/no) [no]:\n > ";
        $answer = isset($o['--no-interaction']) ? '' : trim((string) fgets(STDIN));
        echo "\n";

        return preg_match('/^y/i', $answer) === 1;
    }

    /** The user with a name or id; these commands end with 0 when there is none. */
    private function userNamed(string $what, array $arguments): ?object
    {
        $name = $arguments[0] ?? throw new \RuntimeException("Not enough arguments (missing: \"$what\").");
        $user = $what === 'id' && ctype_digit($name)
            ? db()->selectOne('select * from users where id = ?', [(int) $name])
            : db()->selectOne('select * from users where username = ?', [$name]);
        if (! $user) {
            echo "Could not find any user with that username or id.\n";
        }

        return $user;
    }

    /** Toggles. */
    private function doUserAdmin(array $o, array $arguments): void
    {
        if (! $user = $this->userNamed('username', $arguments)) {
            return;
        }
        echo "Found username: $user->username\n";
        if (! $this->confirm($user->is_admin ? 'Remove admin privileges from this user?' : 'Add admin privileges to this user?', $o)) {
            return;
        }
        db()->update('update users set is_admin = ? where id = ?', [! $user->is_admin, $user->id]);
        echo "Successfully changed permissions!\n";
    }

    private function setStatus(?string $status, array $o, array $arguments): void
    {
        $does = $status === null ? 'unsuspend' : 'suspend';
        if (! $user = $this->userNamed('id', $arguments)) {
            return;
        }
        echo "Found user, username: $user->username\n";
        if (! $this->confirm("Are you sure you want to $does this user?", $o)) {
            return;
        }
        db()->update('update users set status = ? where id = ?', [$status, $user->id]);
        db()->update('update profiles set status = ? where id = ?', [$status, $user->profile_id]);
        echo "User account has been {$does}ed.\n";
    }

    private function doUserSuspend(array $o, array $arguments): void
    {
        $this->setStatus('suspended', $o, $arguments);
    }

    private function doUserUnsuspend(array $o, array $arguments): void
    {
        $this->setStatus(null, $o, $arguments);
    }

    private function doUserVerifyemail(array $o, array $arguments): void
    {
        $user = db()->selectOne('select * from users where username = ?', [$arguments[0] ?? throw new \RuntimeException('Not enough arguments (missing: "username").')]);
        if (! $user || $user->email_verified_at) {
            echo $user ? "Email already verified\n" : "Username not found\n";

            return;
        }
        db()->update('update users set email_verified_at = ? where id = ?', [now(), $user->id]);
        echo "Successfully verified email address for $user->username\n";
    }

    private function doHorizon(): int
    {
        echo "\n   INFO  Horizon started successfully.\n\n";

        return horizon();
    }

    private function doHorizonStatus(): int
    {
        $states = array_column(masters(), 'status');
        if (! $states) {
            echo "\n   ERROR  Horizon is inactive.\n\n";

            return 2;
        }
        $paused = in_array('paused', $states, true);
        echo $paused ? "\n   WARN  Horizon is paused.\n\n" : "\n   INFO  Horizon is running.\n\n";

        return $paused ? 1 : 0;
    }

    /** By process id, so only of this host's masters. */
    private function signal(int $signal): int
    {
        $here = array_filter(masters(), fn ($one) => str_starts_with($one->name, gethostname().'-'));
        if (! $here) {
            echo "\n   INFO  No processes to terminate.\n\n";
        }
        foreach ($here as $one) {
            posix_kill((int) $one->pid, $signal);
        }

        return 0;
    }

    private function doHorizonTerminate(): int
    {
        return $this->signal(SIGTERM);
    }

    private function doHorizonPause(): int
    {
        return $this->signal(SIGUSR2);
    }

    private function doHorizonContinue(): int
    {
        return $this->signal(SIGCONT);
    }

    private function doHorizonSnapshot(): void
    {
        redis('horizon')->set('last_snapshot_at', (string) time());
        echo "\n   INFO  Metrics snapshot stored successfully.\n\n";
    }

    private function doStoryGc(): void {}

    private function doMediaGc(): void {}

    private function doMediaOptimize(): void {}

    private function doGcFailedjobs(): void {}

    private function doGcSessions(): void {}

    private function doScheduleList(): void
    {
        foreach (TASKS as [$when, $name]) {
            echo "  $when  php artisan $name\n";
        }
    }

    private function doScheduleRun(): void
    {
        scheduleRun();
    }

    private function doScheduleWork(): int
    {
        echo "\n   INFO  Running scheduled tasks.\n\n";
        // The original looks once a minute. Here it is every few seconds: each receipt waits for the first look.
        for (; true; sleep(3)) {
            scheduleRun();
        }
    }

    private function doQueueFailed(): void
    {
        $failed = db()->select('select * from failed_jobs');
        foreach ($failed as $one) {
            echo "  $one->failed_at $one->queue $one->exception\n";
        }
        if (! $failed) {
            echo "\n   INFO  No failed jobs found.\n\n";
        }
    }

    private function doCacheClear(): void
    {
        redis('cache')->flushDB();
        echo "\n   INFO  Application cache cleared successfully.\n\n";
    }

    private function doConfigCache(): void
    {
        file_put_contents(BASE.'/bootstrap/cache/config.php', '<?php return '.var_export(getenv(), true).';');
        echo "\n   INFO  Configuration cached successfully.\n\n";
    }

    private function doConfigClear(): void
    {
        if (is_file(BASE.'/bootstrap/cache/config.php')) {
            unlink(BASE.'/bootstrap/cache/config.php');
        }
        echo "\n   INFO  Configuration cache cleared successfully.\n\n";
    }

    private function doOptimize(array $o): void
    {
        if (! is_dir(BASE.'/storage/framework/views')) {
            throw new \InvalidArgumentException('Please provide a valid cache path.');
        }
        echo "\n   INFO  Caching framework bootstrap, configuration, and metadata.\n\n";
        if (! in_array('configs', explode(',', (string) ($o['--except'] ?? '')), true)) {
            $this->doConfigCache();
        }
    }
}

/** RSA, as PEM: private PKCS#8, public SPKI. */
function keyPair(int $bits): array
{
    $key = openssl_pkey_new(['digest_alg' => 'sha512', 'private_key_bits' => $bits, 'private_key_type' => OPENSSL_KEYTYPE_RSA]);
    openssl_pkey_export($key, $private);

    return [$private, openssl_pkey_get_details($key)['key']];
}
