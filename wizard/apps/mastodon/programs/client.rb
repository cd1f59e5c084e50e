# Comes before each program on an external database or Redis.

# Errors go to standard error, on one line.
def in_words
  yield
rescue StandardError => e
  refused = /certificate verify failed \((.+)\)/.match(e.message)
  warn(refused ? "its certificate is not accepted: #{refused[1]}." : e.message)
  exit 1
end

# Connected as Rails is, by the same variables.
def connect_redis
  require 'redis'
  require 'json'
  env = ->(name) { ENV[name].to_s.empty? ? nil : ENV[name] }
  at = env['REDIS_URL'] ? { url: env['REDIS_URL'] } : { host: env['REDIS_HOST'], port: env['REDIS_PORT'].to_i, db: env['REDIS_DB'].to_i, username: env['REDIS_USER'], password: env['REDIS_PASSWORD'] }
  Redis.new(**at.compact, driver: :ruby, timeout: 10, reconnect_attempts: 0)
end
