return {
  'queue:default', tostring(redis.call('LLEN', 'queue:default')),
  'queue:push', tostring(redis.call('LLEN', 'queue:push')),
  'queue:ingress', tostring(redis.call('LLEN', 'queue:ingress')),
  'queue:mailers', tostring(redis.call('LLEN', 'queue:mailers')),
  'queue:pull', tostring(redis.call('LLEN', 'queue:pull')),
  'queue:scheduler', tostring(redis.call('LLEN', 'queue:scheduler')),
  'queue:fasp', tostring(redis.call('LLEN', 'queue:fasp')),
  'retry', tostring(redis.call('ZCARD', 'retry')),
  'schedule', tostring(redis.call('ZCARD', 'schedule')),
  'dead', tostring(redis.call('ZCARD', 'dead')),
}
