require 'action_view'
require 'find'
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

  # The names of pictures of profiles and previews are in the database only.
  class Media < Base
    include ActionView::Helpers::NumberHelper

    option :days, type: :numeric, default: 7
    option :prune_profiles, type: :boolean, default: false
    option :remove_headers, type: :boolean, default: false
    option :include_follows, type: :boolean, default: false
    option :dry_run, type: :boolean, default: false
    desc 'remove', 'Remove remote media files, headers or avatars'
    def remove
      before = options[:days].days.ago
      if options[:prune_profiles]
        accounts = Account.where.not(domain: nil).where(last_webfingered_at: ..before, updated_at: ..before)
        pruned = accounts.where.not(avatar_file_name: nil)
        count, size = accounts.count, pruned.sum(:avatar_file_size)
        pruned.update_all(avatar_file_name: nil, avatar_file_size: nil) unless options[:dry_run]
        return say("Visited #{count} accounts and removed profile media totaling #{number_to_human_size(size)}#{suffix}", :green, true)
      end
      media = MediaAttachment.where.not(remote_url: '').where.not(file_file_name: nil).where(created_at: ..before).to_a
      size = media.sum { |one| (one.file_file_size || 0) + (one.thumbnail_file_size || 0) }
      media.each { |one| clear(one) } unless options[:dry_run]
      say("Removed #{media.size} media attachments (approx. #{number_to_human_size(size)})#{suffix}", :green, true)
    end

    option :start_after
    option :prefix
    option :dry_run, type: :boolean, default: false
    desc 'remove-orphans', 'Scan storage and check for files that do not belong to existing media attachments'
    def remove_orphans
      root = Rails.root.join('public/system').to_s
      orphans = Find.find(File.join(*[root, options[:prefix]].compact)).reject { |path| File.directory?(path) || known?(path.delete_prefix("#{root}/").split('/')) }
      size = orphans.sum { |path| File.size(path) }
      orphans.each do |path|
        File.delete(path) unless options[:dry_run]
        say("Found and removed orphan: #{path.delete_prefix("#{root}/")}")
      end
      say("Removed #{orphans.size} orphans (approx. #{number_to_human_size(size)})#{suffix}", :green, true)
    end

    private

    def suffix = options[:dry_run] ? ' (DRY RUN)' : ''

    def clear(media)
      media.remove_file
      media.update!(file_file_name: nil, file_file_size: nil, thumbnail_file_name: nil, thumbnail_file_size: nil)
    end

    def known?(segments)
      segments.delete('cache')
      return true unless [7, 10].include?(segments.size) && segments.first == 'media_attachments'

      MediaAttachment.find_by(id: segments[2...-2].join.to_i)&.file_file_name == segments.last
    end
  end

  class PreviewCards < Base
    include ActionView::Helpers::NumberHelper

    option :days, type: :numeric, default: 180
    option :link, type: :boolean, default: false
    option :dry_run, type: :boolean, default: false
    desc 'remove', 'Remove preview card media'
    def remove
      cards = PreviewCard.where.not(image_file_name: nil).where(updated_at: ...options[:days].days.ago)
      count, size = cards.count, cards.sum(:image_file_size)
      cards.update_all(image_file_name: nil, image_file_size: nil) unless options[:dry_run]
      say("Removed media from #{count} preview cards (approx. #{number_to_human_size(size)})#{options[:dry_run] ? ' (DRY RUN)' : ''}", :green, true)
    end
  end

  class Main < Base
    desc 'media SUBCOMMAND ...ARGS', 'Manage media files'
    subcommand 'media', Media
    desc 'preview_cards SUBCOMMAND ...ARGS', 'Manage preview cards'
    subcommand 'preview_cards', PreviewCards
    desc 'accounts SUBCOMMAND ...ARGS', 'Manage accounts'
    subcommand 'accounts', Accounts
    desc 'settings SUBCOMMAND ...ARGS', 'Manage dynamic settings'
    subcommand 'settings', Settings

    map %w(--version -v) => :version
    desc 'version', 'Show version'
    def version = say(Mastodon::VERSION)

    # The one that asks; once the mode is on, it says how far it is.
    desc 'self-destruct', 'Erase the server from the federation'
    def self_destruct
      return say(progress, :yellow) if SelfDestructHelper.self_destruct?

      unless ask('Type in the domain of the server to confirm:') == Rails.configuration.x.local_domain
        fail_with_message('Domains do not match. Stopping self-destruct initiation.')
      end
      say('This operation WILL NOT be reversible.', :yellow)
      fail_with_message('Operation cancelled. Self-destruct will not begin.') if no?('Are you sure you want to proceed?')
      value = Rails.application.message_verifier(SelfDestructHelper::VERIFY_PURPOSE).generate(Rails.configuration.x.local_domain)
      say("To switch Mastodon to self-destruct mode, add the following variable to its environment and restart all processes:\n  SELF_DESTRUCT=#{value}\n", :green)
    end

    private

    def progress
      say('Self-destruct mode is already enabled for this Mastodon server', :green)
      pending = Account.local.without_suspended.count + Account.local.suspended.where(id: AccountDeletionRequest.select(:account_id)).count
      stats = Sidekiq::Stats.new
      if pending.positive? then "#{pending} accounts are still pending deletion."
      elsif stats.enqueued.positive? then 'Deletion notices are still being processed'
      elsif stats.retry_size.positive? then 'At least one delivery attempt for each deletion notice has been made, but some have failed and are scheduled for retry'
      else 'Every deletion notice has been sent! You can safely delete all data and decomission your servers!'
      end
    end
  end
end
