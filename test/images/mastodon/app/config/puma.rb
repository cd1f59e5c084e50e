threads_count = ENV.fetch('MAX_THREADS', 5).to_i
threads threads_count, threads_count
bind "tcp://#{ENV.fetch('BIND', '127.0.0.1')}:#{ENV.fetch('PORT', 3000)}"
workers ENV.fetch('WEB_CONCURRENCY', 2).to_i
persistent_timeout ENV.fetch('PERSISTENT_TIMEOUT', 20).to_i
preload_app!
