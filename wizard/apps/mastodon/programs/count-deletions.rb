# Prints GoodbyeLeft (app.ts) as JSON. `tootctl self-destruct` prints no numbers, and in 4.7 it counts by the mark of 4.6.

require 'sidekiq/api'
local = Account.local
# From 4.7 on a deletion has its own mark; before, the account is suspended.
unmarked = Account.respond_to?(:without_requested_deletion) ? local.without_requested_deletion : local.without_suspended
requested = local.where(id: AccountDeletionRequest.select(:account_id)).where.not(id: unmarked.select(:id))

deliveries = 0
failed = {}
look = lambda do |item|
  next if item['class'].to_s.include?('SelfDestruct')
  # Sidekiq sets it when a job fails for the first time.
  deliveries += 1 if item['retry_count'].nil?
  next if item['retry_count'].nil?
  next unless item['class'].to_s.end_with?('DeliveryWorker')

  url = item['args'][2].to_s
  host = URI.parse(url).host || url
  failed[host] = [failed[host], item['retry_count'] + 1].compact.min
rescue URI::InvalidURIError
  failed[url] = item['retry_count'] + 1
end
# Longer queues are not read job by job.
MANY = 10_000
Sidekiq::Queue.all.each { |queue| queue.size > MANY ? deliveries += queue.size : queue.each { |job| look.call(job.item) } }
Sidekiq::WorkSet.new.each { |_process, _thread, work| look.call(work.job.item) }
Sidekiq::RetrySet.new.each { |job| look.call(job.item) }
puts({ accounts: unmarked.count + requested.count, deliveries: deliveries, failed: failed }.to_json)
