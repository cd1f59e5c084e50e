# Signs with the key of each local account and opens each two-factor secret. Prints their numbers as JSON.

keys = 0
secrets = 0
sign = lambda do |private_key, public_key, owner|
  signed = OpenSSL::PKey.read(private_key).sign('SHA256', 'drill')
  raise "The keys of #{owner} do not belong together." unless OpenSSL::PKey.read(public_key).verify('SHA256', signed, 'drill')

  keys += 1
end
Account.where(domain: nil).find_each do |account|
  sign.call(account.private_key, account.public_key, account.username) if account.private_key.present?
end
# From 4.6 on, keys can be in another table, encrypted.
if Object.const_defined?(:Keypair) && Keypair.table_exists?
  Keypair.find_each do |pair|
    sign.call(pair.private_key, pair.public_key, "key #{pair.id}") if pair.private_key.present?
  end
end
User.where(otp_required_for_login: true).find_each do |user|
  raise "The two-factor secret of user #{user.id} is empty." if user.otp_secret.blank?

  secrets += 1
end
puts JSON.generate(keys: keys, secrets: secrets)
