# Other servers: who they are, what they deliver, what is delivered to them, and how all of them are left.
require 'net/http'

module Federation
  JSON_TYPES = { 'Accept' => 'application/activity+json', 'User-Agent' => "Mastodon/#{Mastodon::VERSION} (stand-in)" }.freeze

  module_function

  # draft-cavage-http-signatures, as all servers of today understand it.
  def signed(method, uri, account, body = nil)
    headers = { '(request-target)' => "#{method} #{uri.request_uri}", 'host' => uri.host, 'date' => Time.now.utc.httpdate }
    headers['digest'] = "SHA-256=#{Digest::SHA256.base64digest(body)}" if body
    text = headers.map { |name, value| "#{name}: #{value}" }.join("\n")
    signature = Base64.strict_encode64(OpenSSL::PKey::RSA.new(account.private_key).sign('SHA256', text))
    key = "#{Api.actor_url(account)}#main-key"
    headers.except('(request-target)', 'host').merge('signature' => %(keyId="#{key}",algorithm="rsa-sha256",headers="#{headers.keys.join(' ')}",signature="#{signature}"))
  end

  def request(method, url, account, body = nil, more = {})
    uri = URI(url)
    request = Net::HTTP.const_get(method.capitalize).new(uri, JSON_TYPES.merge(more, signed(method, uri, account, body)))
    request.body = body
    Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https', open_timeout: 5, read_timeout: 10) { |http| http.request(request) }
  end

  # The account of another server, fetched if it is not known.
  def account_of(actor)
    Account.where.not(domain: nil).find_by(uri: actor) || begin
      response = request('get', actor, Account.representative)
      raise "#{actor}: #{response.code}" unless response.is_a?(Net::HTTPSuccess)

      json = JSON.parse(response.body)
      Account.create!(username: json['preferredUsername'], domain: URI(actor).host, uri: json['id'], url: json['url'], protocol: 1, actor_type: json['type'],
                      inbox_url: json['inbox'], shared_inbox_url: json.dig('endpoints', 'sharedInbox').to_s, remote_key: json.dig('publicKey', 'publicKeyPem'))
    end
  end

  # The account that signed a request; nil: nobody did.
  def signer(request)
    given = request.headers['Signature'].to_s.scan(/(\w+)="([^"]*)"/).to_h
    return if given['keyId'].blank?

    text = given['headers'].to_s.split.map { |name| "#{name}: #{name == '(request-target)' ? "#{request.method.downcase} #{request.fullpath}" : request.headers[name]}" }.join("\n")
    account = account_of(given['keyId'].split('#').first)
    account if OpenSSL::PKey::RSA.new(account.public_key).verify('SHA256', Base64.decode64(given['signature'].to_s), text)
  end

  def context(json) = { '@context': 'https://www.w3.org/ns/activitystreams' }.merge(json).to_json

  # Only what a follower needs.
  def process(activity, actor)
    return unless activity['type'] == 'Follow' && activity['actor'] == actor.uri

    target = Account.where(domain: nil).find { |one| Api.actor_url(one) == activity['object'] }
    return if target.nil?

    Follow.find_or_create_by!(account_id: actor.id, target_account_id: target.id)
    accept = context(id: "#{Api.actor_url(target)}#accepts/follows/#{SecureRandom.hex(4)}", type: 'Accept', actor: Api.actor_url(target), object: activity.except('@context'))
    ActivityPub::DeliveryWorker.perform_async(accept, target.id, actor.inbox_url)
  end
end

class Follow < ApplicationRecord; end
class AccountDeletionRequest < ApplicationRecord; end

module ActivityPub
  class DeliveryWorker
    include Sidekiq::Job
    sidekiq_options queue: 'push', retry: 16, dead: false
    sidekiq_retry_in { |count| (count**4) + 15 + rand(0.5 * (count**4)) }

    def perform(json, account_id, inbox_url, _options = {})
      response = Federation.request('post', inbox_url, Account.find(account_id), json, 'Content-Type' => 'application/activity+json')
      return if response.is_a?(Net::HTTPSuccess)
      # The original too sends these only once.
      return if response.code.to_i.between?(400, 499) && %w(401 408 429).exclude?(response.code)

      raise "#{inbox_url} returned code #{response.code}"
    end
  end
end

module SelfDestructHelper
  VERIFY_PURPOSE = 'self-destruct'

  def self.self_destruct?
    value = ENV['SELF_DESTRUCT']
    value.present? && Rails.application.message_verifier(VERIFY_PURPOSE).verify(value) == ENV['LOCAL_DOMAIN']
  rescue ActiveSupport::MessageVerifier::InvalidSignature
    false
  end
end

# Local accounts are only marked: the administrator deletes the data when the server is removed.
module Scheduler
  class SelfDestructScheduler
    include Sidekiq::Job
    sidekiq_options retry: 0, queue: 'scheduler'
    BATCH = 50

    # The original has the schedule of a gem, once a minute. Here it is every few seconds: tests wait for it.
    def self.start
      Thread.new do
        loop do
          perform_async
          sleep 3
        end
      end
    end

    def perform
      return unless SelfDestructHelper.self_destruct?

      urls = Account.inboxes
      pending = [Account.local.without_suspended.order(:id).limit(BATCH), Account.local.suspended.where(id: AccountDeletionRequest.select(:account_id)).limit(BATCH)]
      pending.flat_map(&:to_a).uniq.each { |account| leave(account, urls) }
    end

    private

    def leave(account, urls)
      actor = Api.actor_url(account)
      json = Federation.context(id: "#{actor}#delete", type: 'Delete', actor:, to: ['https://www.w3.org/ns/activitystreams#Public'], object: actor)
      urls.each { |url| ActivityPub::DeliveryWorker.perform_async(json, account.id, url) }
      account.update_columns(suspended_at: Time.now.utc, suspension_origin: 0)
      AccountDeletionRequest.where(account_id: account.id).delete_all
    end
  end
end
