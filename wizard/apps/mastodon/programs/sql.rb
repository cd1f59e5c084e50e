# Prints the rows of a query, with values separated by | as psql does; without a query it executes the SQL on standard input.
# Reads libpq's variables.

in_words do
  require 'pg'
  if ARGV.empty?
    PG.connect.exec($stdin.read)
  else
    puts PG.connect.exec(ARGV.first).values.map { |row| row.join('|') }
  end
end
