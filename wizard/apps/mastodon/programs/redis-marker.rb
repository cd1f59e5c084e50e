# Takes an action and the key. `read` prints the ownership marker, `data` prints t if the app has data there, otherwise f.
# `write` takes the marker from standard input.

in_words do
  action, key = ARGV
  redis = connect_redis
  case action
  when 'read' then puts redis.get(key)
  when 'data' then puts redis.dbsize.positive? ? 't' : 'f'
  when 'write' then redis.set(key, $stdin.read.strip)
  end
end
