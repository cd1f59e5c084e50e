# As in the original: with this variable only those that the running version tolerates.
unless ENV['SKIP_POST_DEPLOYMENT_MIGRATIONS']
  post = Rails.root.join('db/post_migrate').to_s
  Rails.application.config.paths['db/migrate'] << post
  ActiveRecord::Migrator.migrations_paths << post
end
