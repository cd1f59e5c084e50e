# Prints RedisInfo (external.ts) as JSON.

in_words do
  redis = connect_redis
  memory = redis.info('memory')
  # Managed servers refuse CONFIG.
  save = begin
    redis.config('get', 'save')['save']
  rescue StandardError
    nil
  end
  saves = redis.info('persistence')['aof_enabled'] == '1' || save.nil? || save != ''
  puts({ role: redis.info('replication')['role'], saves: saves, version: redis.info('server')['redis_version'], policy: memory['maxmemory_policy'], maxmemory: memory['maxmemory'] }.compact.to_json)
end
