# Stores each value as a setting of its name.

values.each { |name, value| Setting[name] = value }
