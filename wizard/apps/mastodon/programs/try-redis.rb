# Prints RedisInfo (external.ts) as JSON.

in_words do
  redis = connect_redis
  memory = redis.info('memory')
  puts({ version: redis.info('server')['redis_version'], policy: memory['maxmemory_policy'], maxmemory: memory['maxmemory'] }.compact.to_json)
end
