# Prints one value of the query `sql`.

puts ActiveRecord::Base.connection.select_value(values['sql'])
