# Comes before each program that runner.ts runs in Mastodon's Rails. It replaces VALUES by base64 of JSON.

require 'base64'
require 'json'
values = JSON.parse(Base64.decode64('VALUES'))
