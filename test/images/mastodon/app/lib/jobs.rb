# What Sidekiq does: finish large media, tell followers (here: streaming), send mail, clean up.
require 'mail'


# mail 2.9, which the original has, refuses this; Debian's 2.8 does not yet.
Mail::SMTP.prepend(Module.new do
  def deliver!(mail)
    if (settings[:tls] || settings[:ssl]) && settings[:enable_starttls]
      raise ArgumentError, ':enable_starttls and :tls are mutually exclusive.'
    end

    super
  end
end)

class UserMailer < ActionMailer::Base
  def confirmation_instructions(user) = write(user, "Mastodon: Confirmation instructions for #{Rails.configuration.x.local_domain}")
  def password_change(user) = write(user, 'Mastodon: Password changed')

  private

  def write(user, subject) = mail(to: user.email, subject:, body: "#{subject}\n", content_type: 'text/plain')
end

class PostProcessMediaWorker
  include Sidekiq::Job
  sidekiq_options retry: 1, dead: false

  # The original calls ffmpeg here; this one only takes its turn in the queue.
  def perform(id)
    MediaAttachment.find_by(id:)&.update!(processing: MediaAttachment::COMPLETE)
  end
end

class DistributionWorker
  include Sidekiq::Job

  def perform(id)
    return unless (status = Status.find_by(id:, deleted_at: nil))

    payload = Api.status(status)
    home = "timeline:#{status.account_id}"
    REDIS.publish(home, { event: :update, payload: }.to_json) if REDIS.exists?("subscribed:#{home}")
    %w(timeline:public timeline:public:local).each { |line| REDIS.publish(line, { event: :update, payload: }.to_json) } if status.visibility.zero?
  end
end

class RemovalWorker
  include Sidekiq::Job

  def perform(id, options = {})
    status = Status.find(id)
    options['redraft'] ? status.media_attachments.update_all(status_id: nil) : status.media_attachments.destroy_all
    REDIS.publish("timeline:#{status.account_id}", { event: :delete, payload: id.to_s }.to_json)
    status.destroy!
  end
end
