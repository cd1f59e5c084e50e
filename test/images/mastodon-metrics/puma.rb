
if ENV['MASTODON_PROMETHEUS_EXPORTER_ENABLED'] == 'true'
  require 'prometheus_exporter'
  require 'prometheus_exporter/instrumentation'

  on_worker_boot do
    PrometheusExporter::Instrumentation::Process.start(type: 'puma')
    PrometheusExporter::Instrumentation::ActiveRecord.start(custom_labels: { type: 'puma' }, config_labels: %i(database host))
  end
  on_booted { PrometheusExporter::Instrumentation::Puma.start }
end
