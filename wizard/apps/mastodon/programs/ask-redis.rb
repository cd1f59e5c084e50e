# Sends the commands on standard input to an external Redis. Prints one line for each reply, and for each part of
# a list, as valkey-cli does.

in_words do
  redis = connect_redis
  $stdin.each_line(chomp: true) { |line| puts([redis.call(*line.split)].flatten.map(&:to_s).join("\n")) }
end
