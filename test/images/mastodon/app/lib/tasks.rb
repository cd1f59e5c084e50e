require 'securerandom'

# Rails has a task of this name; the original writes its own.
Rake::Task['db:encryption:init'].clear if Rake::Task.task_defined?('db:encryption:init')

namespace :db do
  namespace :encryption do
    task :init do
      names = %w(DETERMINISTIC_KEY KEY_DERIVATION_SALT PRIMARY_KEY).map { |name| "ACTIVE_RECORD_ENCRYPTION_#{name}" }
      if names.any? { |name| ENV[name].present? } && ENV['IGNORE_ALREADY_SET_SECRETS'] != 'true'
        puts 'Secrets for this server have already been set, this step can likely be ignored!'
        next
      end
      puts 'Add the following secret environment variables to your Mastodon environment (e.g. .env.production):'
      puts '', '# Do NOT change these variables once they are set'
      names.each { |name| puts "#{name}=#{SecureRandom.alphanumeric(32)}" }
    end
  end
end

namespace :mastodon do
  namespace :webpush do
    task :generate_vapid_key do
      pair = OpenSSL::PKey::EC.generate('prime256v1')
      puts "VAPID_PRIVATE_KEY=#{Base64.urlsafe_encode64(pair.private_key.to_s(2))}"
      puts "VAPID_PUBLIC_KEY=#{Base64.urlsafe_encode64(pair.public_key.to_bn.to_s(2))}"
    end
  end
end
