# The media in a bucket, with the variables, the headers and the names of the original (config/initializers/paperclip.rb).
require 'net/http'
require 'openssl'

module Bucket
  module_function

  def on? = ENV['S3_ENABLED'] == 'true'
  def protocol = ENV.fetch('S3_PROTOCOL', 'https')
  def root = ENV['S3_ALIAS_HOST'] || "#{ENV.fetch('S3_HOSTNAME')}/#{ENV.fetch('S3_BUCKET')}"
  def host = "#{protocol}://#{root[%r{\A[^/]+}]}"
  def url(key) = "#{protocol}://#{root}/#{key}"

  def put(key, bytes, type)
    acl = ENV.fetch('S3_PERMISSION', 'public-read').presence
    call(Net::HTTP::Put, key, bytes, { 'content-type' => type, 'cache-control' => 'public, max-age=315576000, immutable', 'x-amz-acl' => acl }.compact)
  end

  def delete(key) = call(Net::HTTP::Delete, key)

  # One signed request (SigV4). The names have no character that needs an escape.
  def call(method, key, body = '', more = {})
    address = URI("#{ENV.fetch('S3_ENDPOINT')}/#{ENV.fetch('S3_BUCKET')}/#{key}")
    now = Time.now.utc.strftime('%Y%m%dT%H%M%SZ')
    authority = address.port == address.default_port ? address.host : "#{address.host}:#{address.port}"
    headers = { 'host' => authority, 'x-amz-content-sha256' => OpenSSL::Digest::SHA256.hexdigest(body), 'x-amz-date' => now }.merge(more).sort.to_h
    names = headers.keys.join(';')
    canonical = [method::METHOD, address.path, '', *headers.map { |name, value| "#{name}:#{value}" }, '', names, headers['x-amz-content-sha256']].join("\n")
    parts = [now[0, 8], ENV.fetch('S3_REGION'), 's3', 'aws4_request']
    signing = parts.inject("AWS4#{ENV.fetch('AWS_SECRET_ACCESS_KEY')}") { |secret, part| OpenSSL::HMAC.digest('SHA256', secret, part) }
    text = "AWS4-HMAC-SHA256\n#{now}\n#{parts.join('/')}\n#{OpenSSL::Digest::SHA256.hexdigest(canonical)}"
    signature = OpenSSL::HMAC.hexdigest('SHA256', signing, text)
    headers['authorization'] = "AWS4-HMAC-SHA256 Credential=#{ENV.fetch('AWS_ACCESS_KEY_ID')}/#{parts.join('/')}, SignedHeaders=#{names}, Signature=#{signature}"
    request = method.new(address, headers)
    request.body = body if method::REQUEST_HAS_BODY
    reply = Net::HTTP.start(address.host, address.port, use_ssl: address.scheme == 'https') { |http| http.request(request) }
    raise "#{method::METHOD} #{key}: #{reply.code} #{reply.body}" unless reply.is_a?(Net::HTTPSuccess)
  end
end
