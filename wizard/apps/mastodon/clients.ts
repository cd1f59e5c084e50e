/** Ruby programs that connect to an external database or Redis as Mastodon does: in its image, with its libraries. */

/** Errors go to standard error, on one line. */
const ruby = (script: string, ...words: readonly string[]): string[] => [
  'bundle',
  'exec',
  'ruby',
  '-e',
  `begin
${script}
rescue StandardError => e
  refused = /certificate verify failed \\((.+)\\)/.match(e.message)
  warn(refused ? "its certificate is not accepted: #{refused[1]}." : e.message)
  exit 1
end`,
  ...words,
];

/** Prints the rows of a query, with values separated by `|` as psql does. Reads libpq's variables. */
export const sqlIn = (query: string): string[] =>
  ruby("  require 'pg'\n  puts PG.connect.exec(ARGV.first).values.map { |row| row.join('|') }", query);

/** Executes the SQL on standard input. */
export const sqlFromInput = (): string[] => ruby("  require 'pg'\n  PG.connect.exec($stdin.read)");

/** Ruby with `redis`: connected as Rails is, by the same variables. */
export const redisRuby = (script: string, ...words: readonly string[]): string[] =>
  ruby(
    `  require 'redis'
  require 'json'
  env = ->(name) { ENV[name].to_s.empty? ? nil : ENV[name] }
  at = env['REDIS_URL'] ? { url: env['REDIS_URL'] } : { host: env['REDIS_HOST'], port: env['REDIS_PORT'].to_i, db: env['REDIS_DB'].to_i, username: env['REDIS_USER'], password: env['REDIS_PASSWORD'] }
  redis = Redis.new(**at.compact, driver: :ruby, timeout: 10, reconnect_attempts: 0)
  ${script}`,
    ...words,
  );

/** Prints RedisInfo as JSON. */
export const TRY_REDIS = redisRuby(
  "memory = redis.info('memory')\n  puts({ version: redis.info('server')['redis_version'], policy: memory['maxmemory_policy'], maxmemory: memory['maxmemory'] }.compact.to_json)",
);
