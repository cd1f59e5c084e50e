require 'redis'
require 'sidekiq/api' # the original has it by way of Sidekiq's web interface

REDIS = Redis.new(url: Rails.configuration.x.redis_url)

Sidekiq.configure_client { |config| config.redis = { url: Rails.configuration.x.redis_url } }
Sidekiq.configure_server do |config|
  config.redis = { url: Rails.configuration.x.redis_url }
  if (name = ENV['MASTODON_SIDEKIQ_READY_FILENAME'])
    path = Rails.root.join('tmp', name)
    config.on(:startup) { FileUtils.touch(path) }
    config.on(:shutdown) { FileUtils.rm_f(path) }
  end
  config.on(:startup) do
    Scheduler::SelfDestructScheduler.start if SelfDestructHelper.self_destruct? && config.queues.include?('scheduler')
  end
end

Rails.application.config.after_initialize do
  %w(bucket models jobs web federation).each { |name| require Rails.root.join('lib', name) }
end
