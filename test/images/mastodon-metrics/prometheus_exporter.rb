# The same instruments as in the original, by the same variables. Only the external server (`prometheus_exporter`) is here.
if ENV['MASTODON_PROMETHEUS_EXPORTER_ENABLED'] == 'true'
  require 'prometheus_exporter'
  require 'prometheus_exporter/middleware'
  require 'prometheus_exporter/instrumentation'

  if ENV['MASTODON_PROMETHEUS_EXPORTER_WEB_DETAILED_METRICS'] == 'true'
    Rails.application.config.middleware.unshift PrometheusExporter::Middleware
  end

  Sidekiq.configure_server do |config|
    detailed = ENV['MASTODON_PROMETHEUS_EXPORTER_SIDEKIQ_DETAILED_METRICS'] == 'true'
    if detailed
      config.server_middleware { |chain| chain.add PrometheusExporter::Instrumentation::Sidekiq }
      config.death_handlers << PrometheusExporter::Instrumentation::Sidekiq.death_handler
    end
    config.on(:startup) do
      PrometheusExporter::Instrumentation::Process.start(type: 'sidekiq')
      PrometheusExporter::Instrumentation::SidekiqProcess.start
      PrometheusExporter::Instrumentation::ActiveRecord.start(custom_labels: { type: 'sidekiq' }, config_labels: %i(database host))
      if detailed
        PrometheusExporter::Instrumentation::SidekiqQueue.start
        PrometheusExporter::Instrumentation::SidekiqStats.start
      end
    end
  end
end
