<?php
// As much of Laravel as scripts on standard input and our own commands use.

namespace Illuminate\Contracts\Console {
    interface Kernel
    {
        public function bootstrap();

        public function call($command, array $parameters = []);

        public function output();
    }
}

namespace Standin {
    use PDO;
    use Redis;

    const BASE = __DIR__.'/..';
    const VERSION = '0.14.4';

    /** From the configuration's cache where one was made (it freezes the environment), else from the environment. */
    function env(string $name, mixed $default = null): mixed
    {
        static $cached;
        $cached ??= is_file(BASE.'/bootstrap/cache/config.php') ? require BASE.'/bootstrap/cache/config.php' : [];
        $value = $cached ? ($cached[$name] ?? null) : getenv($name);
        if ($value === null || $value === false) {
            return $default;
        }

        return match (strtolower($value)) {
            'true' => true, 'false' => false, 'null' => null, default => $value
        };
    }

    /** The newer of two names of a variable, else the older. */
    function either(string $new, string $old, mixed $default): mixed
    {
        return env($new) ?? env($old) ?? $default;
    }

    final class Database
    {
        private ?PDO $pdo = null;

        public function getDriverName(): string
        {
            return env('DB_CONNECTION', 'mysql') === 'pgsql' ? 'pgsql' : 'mysql';
        }

        public function pdo(): PDO
        {
            if ($this->pdo === null) {
                $name = $this->getDriverName();
                $at = sprintf('host=%s;port=%s;', env('DB_HOST', '127.0.0.1'), env('DB_PORT', $name === 'pgsql' ? 5432 : 3306));
                $database = env('DB_DATABASE', 'laravel');
                $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_OBJ];
                if ($name === 'mysql' && env('MYSQL_ATTR_SSL_CA')) {
                    $options[PDO::MYSQL_ATTR_SSL_CA] = env('MYSQL_ATTR_SSL_CA');
                }
                $this->pdo = new PDO($name === 'pgsql' ? "pgsql:{$at}dbname='$database';sslmode=".env('DB_SSLMODE', 'prefer') : "mysql:{$at}dbname=$database", env('DB_USERNAME', 'root'), env('DB_PASSWORD', ''), $options);
                // The same variable for both, though the word is not the same.
                $this->pdo->exec($name === 'pgsql' ? "set names '".env('DB_CHARSET', 'utf8')."'" : "set names '".env('DB_CHARSET', 'utf8mb4')."' collate '".env('DB_COLLATION', 'utf8mb4_unicode_ci')."'");
            }

            return $this->pdo;
        }

        /** A connection that was lost meanwhile is made anew, once, as Laravel does. */
        private function run(string $sql, array $bindings): \PDOStatement
        {
            try {
                return $this->attempt($sql, $bindings);
            } catch (\PDOException|\ErrorException $e) {
                if (! preg_match('/gone away|Lost connection|Error while sending|server closed|no connection/i', $e->getMessage())) {
                    throw $e;
                }
                $this->pdo = null;

                return $this->attempt($sql, $bindings);
            }
        }

        private function attempt(string $sql, array $bindings): \PDOStatement
        {
            $statement = $this->pdo()->prepare($sql);
            foreach (array_values($bindings) as $i => $value) {
                $statement->bindValue($i + 1, $value, is_bool($value) ? PDO::PARAM_BOOL : (is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR));
            }
            $statement->execute();

            return $statement;
        }

        public function select(string $sql, array $bindings = []): array
        {
            return $this->run($sql, $bindings)->fetchAll();
        }

        public function selectOne(string $sql, array $bindings = []): ?object
        {
            return $this->select($sql, $bindings)[0] ?? null;
        }

        public function scalar(string $sql, array $bindings = []): mixed
        {
            $row = (array) $this->selectOne($sql, $bindings);

            return $row ? reset($row) : null;
        }

        public function update(string $sql, array $bindings = []): int
        {
            return $this->run($sql, $bindings)->rowCount();
        }

        public function statement(string $sql, array $bindings = []): bool
        {
            return (bool) $this->run($sql, $bindings);
        }

        /** Inserts a row and tells its id. */
        public function insert(string $table, array $row): int
        {
            $this->run(sprintf('insert into %s (%s) values (%s)', $table, implode(', ', array_keys($row)), implode(', ', array_fill(0, count($row), '?'))), array_values($row));

            return (int) ($row['id'] ?? $this->pdo()->lastInsertId());
        }

        public function hasTable(string $name): bool
        {
            return (bool) $this->scalar('select count(*) from information_schema.tables where table_name = ? and table_schema = '.($this->getDriverName() === 'pgsql' ? 'current_schema()' : 'database()'), [$name]);
        }
    }

    final class Cache
    {
        public function get(string $key): mixed
        {
            return json_decode((string) redis('cache')->get($key), true);
        }

        public function put(string $key, mixed $value, int $seconds): bool
        {
            return (bool) redis('cache')->setEx($key, $seconds, json_encode($value));
        }

        public function forget(string $key): bool
        {
            return redis('cache')->del($key) > 0;
        }
    }

    final class RedisManager
    {
        private array $connections = [];

        public function connection(string $name = 'default'): Redis
        {
            if (! isset($this->connections[$name])) {
                $redis = new Redis;
                $host = (string) env('REDIS_HOST', '127.0.0.1');
                $scheme = env('REDIS_SCHEME', 'tcp').'://';
                // As in the original, the connection of the cache knows no scheme.
                $redis->connect($name === 'cache' || str_starts_with($host, $scheme) ? $host : $scheme.$host, (int) env('REDIS_PORT', 6379), 5);
                if (env('REDIS_PASSWORD') !== null) {
                    $user = env('REDIS_USERNAME');
                    $redis->auth($user ? [(string) $user, (string) env('REDIS_PASSWORD')] : (string) env('REDIS_PASSWORD'));
                }
                $redis->select((int) ($name === 'cache' ? env('REDIS_CACHE_DB', 1) : either('REDIS_DB', 'REDIS_DATABASE', 0)));
                $redis->setOption(Redis::OPT_PREFIX, match ($name) {
                    'horizon' => env('HORIZON_PREFIX', 'horizon-'),
                    'cache' => env('REDIS_PREFIX', 'pixelfed_database_').env('CACHE_PREFIX', 'pixelfed_cache'),
                    default => env('REDIS_PREFIX', 'pixelfed_database_'),
                });
                $this->connections[$name] = $redis;
            }

            return $this->connections[$name];
        }
    }

    final class Application implements \ArrayAccess
    {
        private static ?self $one = null;

        private array $made = [];

        public static function instance(): self
        {
            return self::$one ??= new self;
        }

        public function make(string $name): mixed
        {
            return $this->made[$name] ??= match ($name) {
                'db' => new Database,
                'redis' => new RedisManager,
                'mailer' => new Mailer,
                'config' => [
                    'auth.providers.users.model' => User::class,
                    'app.name' => env('APP_NAME', 'Pixelfed'), 'app.short_description' => env('PF_SHORT_DESCRIPTION', 'Pixelfed'), 'app.description' => env('PF_DESCRIPTION'), 'app.rules' => env('PF_RULES'), 'app.locale' => env('APP_LOCALE', 'en'),
                    'instance.email' => env('INSTANCE_CONTACT_EMAIL'), 'instance.curated_registration.enabled' => env('INSTANCE_CUR_REG', false),
                    'pixelfed.open_registration' => env('OPEN_REGISTRATION', true), 'pixelfed.max_photo_size' => env('MAX_PHOTO_SIZE', 15_000), 'pixelfed.max_album_length' => env('MAX_ALBUM_LENGTH', 4), 'pixelfed.media_types' => env('MEDIA_TYPES', 'image/jpeg,image/jpg,image/png,image/gif'),
                ],
                'cache' => new Cache,
                \Illuminate\Contracts\Console\Kernel::class => new Kernel,
                \Laravel\Passport\ClientRepository::class => new \Laravel\Passport\ClientRepository,
            };
        }

        public function offsetExists(mixed $name): bool
        {
            return true;
        }

        public function offsetGet(mixed $name): mixed
        {
            return $this->make($name);
        }

        public function offsetSet(mixed $name, mixed $value): void {}

        public function offsetUnset(mixed $name): void {}
    }

    function db(): Database
    {
        return Application::instance()['db'];
    }

    function redis(string $name = 'default'): Redis
    {
        return Application::instance()['redis']->connection($name);
    }

    /** `2026-01-31 12:00:00`, UTC. */
    function now(int $offset = 0): string
    {
        return gmdate('Y-m-d H:i:s', time() + $offset);
    }

    /** 64-bit ids that grow with time, as text safe for JSON. */
    function snowflake(): int
    {
        return ((int) (microtime(true) * 1000) - 1_288_834_974_657) << 16 | random_int(0, 0xFFFF);
    }

    function url(string $path = ''): string
    {
        return rtrim((string) env('APP_URL', 'https://localhost'), '/').$path;
    }

    set_error_handler(function (int $level, string $message) {
        if (error_reporting() & $level) {
            throw new \ErrorException($message);
        }

        return true;
    });
}
