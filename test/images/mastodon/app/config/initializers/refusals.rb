# What the original refuses to start with, in its words: people search for them.
if ENV['REDIS_NAMESPACE']
  abort <<~MESSAGE
    ERROR: the REDIS_NAMESPACE environment variable is no longer supported, and a migration is required.

    Please see documentation at https://github.com/mastodon/redis_namespace_migration
  MESSAGE
end

KEYS = %w(DETERMINISTIC_KEY KEY_DERIVATION_SALT PRIMARY_KEY).map { |name| "ACTIVE_RECORD_ENCRYPTION_#{name}" }
KEYS.each do |key|
  if ENV[key].blank?
    abort <<~MESSAGE

      Mastodon now requires that these variables are set:

      #{KEYS.map { |name| "  - #{name}" }.join("\n")}

      Run `bin/rails db:encryption:init` to generate new secrets and then assign the environment variables.
    MESSAGE
  elsif ENV[key].end_with?('DO_NOT_USE_IN_PRODUCTION')
    abort "\nIt looks like you are trying to run Mastodon in production with a #{key} value from the test environment."
  end
end
