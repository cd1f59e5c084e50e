# The records behind commands, pages and jobs; validations name the same attributes and types as the original's.
require 'bcrypt'
require 'resolv'

OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob'

class ApplicationRecord < ActiveRecord::Base
  self.abstract_class = true
  self.inheritance_column = nil # "type" is a number
end

class Setting < ApplicationRecord
  DEFAULTS = {
    site_title: 'Mastodon', site_short_description: '', site_contact_username: '', site_contact_email: '',
    registrations_mode: 'none', require_invite_text: false, backups_retention_period: 7,
  }.stringify_keys.freeze

  class << self
    def [](key)
      row = find_by(var: key.to_s)
      row ? YAML.safe_load(row.value.to_s, permitted_classes: [Symbol]) : DEFAULTS[key.to_s]
    end

    def []=(key, value)
      find_or_initialize_by(var: key.to_s).update!(value: value.to_yaml)
    end

    def method_missing(name, *arguments)
      name.end_with?('=') ? self[name.to_s.chomp('=')] = arguments.first : self[name]
    end

    def respond_to_missing?(*) = true
  end
end

class Rule < ApplicationRecord; end
class UsernameBlock < ApplicationRecord; end

class UserRole < ApplicationRecord
  EVERYONE_ROLE_ID = -99
end

class Account < ApplicationRecord
  INSTANCE_ACTOR_ID = -99

  has_one :user
  has_many :statuses

  scope :local, -> { where(domain: nil) }
  scope :suspended, -> { where.not(suspended_at: nil) }
  scope :without_suspended, -> { where(suspended_at: nil) }

  attr_accessor :remote_key

  validates :username, format: { with: /\A[a-z0-9_]+\z/i }, length: { maximum: 30 }, if: -> { domain.nil? && actor_type != 'Application' }
  validate -> { errors.add(:username, :taken) if Account.find_local(username) }, on: :create, if: -> { domain.nil? }
  before_create do
    next self.public_key = remote_key.to_s if domain

    pair = OpenSSL::PKey::RSA.new(2048)
    self.private_key = pair.to_pem
    self.public_key = pair.public_to_pem
  end

  def self.find_local(username) = find_by('lower(username) = lower(?) and domain is null', username.to_s)
  def self.find_local!(username) = find_local(username) || raise(ActiveRecord::RecordNotFound)
  def self.representative = find(INSTANCE_ACTOR_ID)

  # Of all servers that are known: the shared inbox, where there is one.
  def self.inboxes = where(protocol: 1).where.not(domain: nil).map { |one| one.shared_inbox_url.presence || one.inbox_url }.uniq

  def acct = username
end

class User < ApplicationRecord
  belongs_to :account
  belongs_to :role, class_name: 'UserRole', optional: true
  has_many :session_activations
  has_many :tokens, class_name: 'Doorkeeper::AccessToken', foreign_key: 'resource_owner_id'

  validates :email, presence: true, uniqueness: { case_sensitive: false, if: :email_changed? }
  validate :email_is_deliverable, if: :email_changed?
  before_create { self.approved = Setting.registrations_mode == 'open' }
  after_create_commit { UserMailer.confirmation_instructions(self).deliver_later unless confirmed_at }
  after_update_commit { UserMailer.password_change(self).deliver_later if saved_change_to_encrypted_password? }

  attr_reader :password

  def password=(text)
    @password = text
    self.encrypted_password = BCrypt::Password.create(text, cost: 10)
  end

  def valid_password?(text) = BCrypt::Password.new(encrypted_password) == text
  def functional? = confirmed_at.present? && approved? && !disabled? && account.suspended_at.nil?

  def change_password!(text)
    transaction do
      update!(password: text)
      session_activations.destroy_all
    end
    tokens.where(revoked_at: nil).find_each(&:revoke)
  end

  private

  # As the original: not asked for names on the allow list, and then nobody else may come.
  def email_is_deliverable
    domain = email.to_s.split('@', 2)[1]
    allowed = Rails.configuration.x.email_domains_allowlist.split('|')
    if !email.match?(/\A[^@\s,%"]+@[^@\s]+\z/)
      errors.add(:email, :invalid)
    elsif allowed.exclude?(domain) && !reachable?(domain)
      errors.add(:email, :unreachable)
    end
    errors.add(:email, :blocked) if allowed.any? && allowed.none? { |name| domain == name || domain.to_s.end_with?(".#{name}") }
  end

  def reachable?(domain)
    Resolv::DNS.open do |dns|
      dns.timeouts = 5
      exchanges = dns.getresources(domain, Resolv::DNS::Resource::IN::MX).map { |one| one.exchange.to_s }
      exchanges != [''] && [domain, *exchanges].any? do |host|
        [Resolv::DNS::Resource::IN::A, Resolv::DNS::Resource::IN::AAAA].any? { |kind| dns.getresources(host, kind).any? }
      end
    end
  end
end

class SessionActivation < ApplicationRecord
  belongs_to :user
end

module Doorkeeper
  class Application < ApplicationRecord
    self.table_name = 'oauth_applications'
    before_validation { self.uid ||= SecureRandom.urlsafe_base64(32); self.secret ||= SecureRandom.urlsafe_base64(32) }
  end

  class AccessGrant < ApplicationRecord
    self.table_name = 'oauth_access_grants'
    belongs_to :application
    before_validation { self.token ||= SecureRandom.urlsafe_base64(32); self.expires_in ||= 600 }

    def expired? = created_at + expires_in < Time.now.utc
  end

  class AccessToken < ApplicationRecord
    self.table_name = 'oauth_access_tokens'
    belongs_to :application, optional: true
    belongs_to :user, foreign_key: 'resource_owner_id', optional: true
    before_validation { self.token ||= SecureRandom.urlsafe_base64(32) }

    def expired? = expires_in.present? && created_at + expires_in < Time.now.utc

    # Streaming cuts the sockets that were opened with it.
    def revoke
      update!(revoked_at: Time.now.utc)
      REDIS.publish("timeline:access_token:#{id}", { event: :kill }.to_json)
    end
  end
end

class Status < ApplicationRecord
  belongs_to :account
  has_many :media_attachments
  VISIBILITIES = %w(public unlisted private direct).freeze
end

class MediaAttachment < ApplicationRecord
  belongs_to :account
  belongs_to :status, optional: true
  QUEUED, IN_PROGRESS, COMPLETE, FAILED = 0, 1, 2, 3
  KINDS = { 'image' => 0, 'gifv' => 1, 'video' => 2, 'unknown' => 3, 'audio' => 4 }.freeze

  # By its first bytes, never by its name.
  def self.content_type_of(bytes)
    case bytes
    when /\A\x89PNG\r\n/n then 'image/png'
    when /\A\xFF\xD8\xFF/n then 'image/jpeg'
    when /\AGIF8/n then 'image/gif'
    when /\ARIFF....WEBP/mn then 'image/webp'
    when /\ARIFF....WAVE/mn then 'audio/x-wav'
    when /\AID3|\A\xFF\xFB/n then 'audio/mpeg'
    when /\A....ftyp/mn then 'video/mp4'
    end
  end

  def not_processed? = processing.present? && processing != COMPLETE
  def larger_media? = !file_content_type.start_with?('image/')

  # system/media_attachments/files/116/…/original/NAME; below system/cache for copies of remote files
  def path
    "system/#{'cache/' if remote_url.present?}media_attachments/files/#{format('%018d', id).scan(/\d{3}/).join('/')}/original/#{file_file_name}"
  end

  def on_disk = Rails.root.join('public', path)
  # In a bucket it has the same name, without "system".
  def url = Bucket.on? ? Bucket.url(path.delete_prefix('system/')) : "https://#{Rails.configuration.x.web_domain}/#{path}"

  def store(bytes)
    return Bucket.put(path.delete_prefix('system/'), bytes, file_content_type) if Bucket.on?

    FileUtils.mkdir_p(on_disk.dirname)
    File.binwrite(on_disk, bytes)
  end

  def remove_file = Bucket.on? ? Bucket.delete(path.delete_prefix('system/')) : FileUtils.rm_f(on_disk)

  after_destroy :remove_file
end

class PreviewCard < ApplicationRecord; end
