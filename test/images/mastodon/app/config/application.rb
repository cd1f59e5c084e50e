require 'rails'
%w(active_record action_controller active_job action_mailer).each { |name| require "#{name}/railtie" }
require 'sidekiq'

module Mastodon
  VERSION = '4.6.5'

  class Application < Rails::Application
    config.root = File.expand_path('..', __dir__)
    config.load_defaults 7.2
    config.eager_load = false

    local_domain = ENV.fetch('LOCAL_DOMAIN') { "localhost:#{ENV.fetch('PORT', 3000)}" }
    config.x.local_domain = local_domain
    config.x.web_domain = ENV.fetch('WEB_DOMAIN', local_domain)
    config.x.email_domains_allowlist = ENV.fetch('EMAIL_DOMAIN_ALLOWLIST', '')
    redis_login = ENV.values_at('REDIS_USER', 'REDIS_PASSWORD').map { |one| ERB::Util.url_encode(one.to_s) }.join(':')
    redis_url = "redis://#{"#{redis_login}@" if redis_login != ':'}#{ENV.fetch('REDIS_HOST', 'localhost')}:#{ENV.fetch('REDIS_PORT', 6379)}/#{ENV.fetch('REDIS_DB', 0)}"
    config.x.redis_url = ENV.fetch('REDIS_URL', redis_url)

    # The proxy in front ends TLS; other hosts than ours are turned away.
    config.force_ssl = true
    config.ssl_options = { hsts: { expires: 63_072_000, subdomains: true }, redirect: { exclude: ->(request) { request.path == '/health' } } }
    config.hosts = [config.x.local_domain, config.x.web_domain, *ENV.fetch('ALTERNATE_DOMAINS', '').split(/\s*,\s*/)]
    config.host_authorization = { exclude: ->(request) { request.path == '/health' } }
    config.action_dispatch.default_headers = { 'Server' => 'Mastodon', 'X-Frame-Options' => 'DENY', 'X-Content-Type-Options' => 'nosniff', 'X-XSS-Protection' => '0', 'Referrer-Policy' => 'same-origin' }
    config.session_store :cookie_store, key: '_mastodon_session', same_site: :lax
    config.public_file_server.enabled = ENV['RAILS_SERVE_STATIC_FILES'] == 'true'
    config.public_file_server.headers = { 'Cache-Control' => 'public, max-age=2419200, must-revalidate' }

    config.logger = ActiveSupport::TaggedLogging.new(Logger.new($stdout))
    config.log_level = ENV.fetch('RAILS_LOG_LEVEL', 'info')
    config.silence_healthcheck_path = '/health' if config.respond_to?(:silence_healthcheck_path=)
    config.active_record.dump_schema_after_migration = false
    config.active_job.queue_adapter = :sidekiq

    # SMTP exactly as configured: the mail library refuses what contradicts itself.
    smtp = {
      address: ENV['SMTP_SERVER'],
      port: ENV['SMTP_PORT']&.to_i,
      domain: ENV.fetch('SMTP_DOMAIN', config.x.local_domain),
      user_name: ENV['SMTP_LOGIN'],
      password: ENV['SMTP_PASSWORD'],
      authentication: ENV.fetch('SMTP_AUTH_METHOD', 'plain').then { |method| method unless method == 'none' },
      openssl_verify_mode: ENV['SMTP_OPENSSL_VERIFY_MODE'],
      ca_file: ENV.fetch('SMTP_CA_FILE', '/etc/ssl/certs/ca-certificates.crt'),
      tls: (true if ENV['SMTP_TLS'] == 'true'),
      ssl: (true if ENV['SMTP_SSL'] == 'true'),
      enable_starttls_auto: false,
      read_timeout: 20,
    }
    smtp[:enable_starttls] =
      case ENV['SMTP_ENABLE_STARTTLS']
      when 'always' then true # :always of mail 2.9; Debian has 2.8
      when 'never', 'false' then false
      when 'auto' then :auto
      else (ENV['SMTP_ENABLE_STARTTLS_AUTO'] != 'false' ? :auto : false) unless smtp[:tls] || smtp[:ssl]
      end
    config.action_mailer.smtp_settings = smtp
    config.action_mailer.delivery_method = ENV.fetch('SMTP_DELIVERY_METHOD', 'smtp').to_sym
    config.action_mailer.default_options = { from: ENV.fetch('SMTP_FROM_ADDRESS', 'notifications@localhost') }
    config.action_mailer.deliver_later_queue_name = 'mailers'
  end
end
