# Prints one line of JSON: what the mail server answered, or the error.

begin
  mail = ActionMailer::Base.new.mail(to: values['to'], subject: values['subject'], content_type: 'text/plain', body: values['text'])
  mail.delivery_method.settings[:return_response] = true
  puts JSON.generate(accepted: mail.deliver!.string)
rescue StandardError => e
  puts JSON.generate(error: "#{e.class}: #{e.message}".scrub)
end
