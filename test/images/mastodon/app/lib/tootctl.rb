require 'thor'

module Tootctl
  class Base < Thor
    def self.exit_on_failure? = true

    private

    def fail_with_message(message) = raise(Thor::Error, message)

    def role_named(name) = UserRole.find_by(name:) || fail_with_message('Cannot find user role with that name')

    # `:taken` of a table's unique rows and of the original's own check read alike.
    def report(errors)
      fail_with_message(errors.map { |error| "Failure/Error: #{error.attribute}\n    #{error.type}\n" }.join)
    end
  end

  class Accounts < Base
    option :email, required: true
    option :confirmed, type: :boolean
    option :approve, type: :boolean
    option :role
    option :reattach, type: :boolean
    option :force, type: :boolean
    desc 'create USERNAME', 'Create a new user account'
    def create(username)
      role = options[:role] && role_named(options[:role])
      if options[:reattach] && Account.find_local(username)&.user && !options[:force]
        say('The chosen username is currently in use', :red)
        say('Use --force to reattach it anyway and delete the other user')
        return
      end
      password = SecureRandom.hex
      user = User.new(email: options[:email], password:, role:, confirmed_at: options[:confirmed] ? Time.now.utc : nil,
                      account: Account.new(username:))
      # Both are asked for all that is wrong before anything is written.
      unless [user.valid?, user.account.valid?].all?
        user.errors.delete(:account)
        user.account.errors.each { |error| user.errors.import(error, attribute: "account.#{error.attribute}") }
        report(user.errors)
      end
      user.save!
      user.update!(approved: true) if options[:approve]
      say('OK', :green)
      say("New password: #{password}")
    end

    option :role
    option :remove_role, type: :boolean
    option :email
    option :confirm, type: :boolean
    option :enable, type: :boolean
    option :disable, type: :boolean
    option :disable_2fa, type: :boolean
    option :approve, type: :boolean
    option :reset_password, type: :boolean
    desc 'modify USERNAME', 'Modify a user account'
    def modify(username)
      user = Account.find_local(username)&.user || fail_with_message('No user with such username')
      user.role = role_named(options[:role]) if options[:role]
      user.role = nil if options[:remove_role]
      user.email = options[:email] if options[:email]
      user.disabled = false if options[:enable]
      user.disabled = true if options[:disable]
      user.approved = true if options[:approve]
      user.confirmed_at ||= Time.now.utc if options[:confirm]
      user.otp_required_for_login = false if options[:disable_2fa]
      password = SecureRandom.hex if options[:reset_password]
      user.change_password!(password) if password
      report(user.errors) unless user.save
      say('OK', :green)
      say("New password: #{password}") if password
    end
  end

  class Registrations < Base
    desc 'open', 'Open registrations'
    def open = mode('open')

    option :require_reason, type: :boolean, aliases: [:require_invite_text]
    desc 'approved', 'Open approval-based registrations'
    def approved
      Setting.require_invite_text = options[:require_reason] unless options[:require_reason].nil?
      mode('approved')
    end

    desc 'close', 'Close registrations'
    def close = mode('none')

    private

    def mode(name)
      Setting.registrations_mode = name
      say('OK', :green)
    end
  end

  class Settings < Base
    desc 'registrations SUBCOMMAND ...ARGS', 'Manage state of registrations'
    subcommand 'registrations', Registrations
  end

  class Main < Base
    desc 'accounts SUBCOMMAND ...ARGS', 'Manage accounts'
    subcommand 'accounts', Accounts
    desc 'settings SUBCOMMAND ...ARGS', 'Manage dynamic settings'
    subcommand 'settings', Settings

    map %w(--version -v) => :version
    desc 'version', 'Show version'
    def version = say(Mastodon::VERSION)

    # The one that asks. As far as a "no": nothing here would tell other servers.
    desc 'self-destruct', 'Erase the server from the federation'
    def self_destruct
      unless ask('Type in the domain of the server to confirm:') == Rails.configuration.x.local_domain
        fail_with_message('Domains do not match. Stopping self-destruct initiation.')
      end
      say('This operation WILL NOT be reversible.', :yellow)
      no?('Are you sure you want to proceed?')
      fail_with_message('Operation cancelled. Self-destruct will not begin.')
    end
  end
end
