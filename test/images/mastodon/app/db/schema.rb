# The tables and columns that our stack and streaming ask for, named and typed as in the original.
ActiveRecord::Schema[7.2].define(version: 2026_06_11_150940) do
  # Time in milliseconds, then 16 bits that differ.
  execute <<~SQL
    CREATE OR REPLACE FUNCTION timestamp_id(table_name text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
      SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 16)
        | (nextval(table_name || '_id_seq') & 65535)
    $$
  SQL
  %w(accounts statuses media_attachments).each { |table| execute "CREATE SEQUENCE IF NOT EXISTS #{table}_id_seq" }

  create_table 'accounts', id: :bigint, default: -> { "timestamp_id('accounts'::text)" }, force: :cascade do |t|
    t.string 'actor_type'
    t.string 'avatar_file_name'
    t.integer 'avatar_file_size'
    t.string 'display_name', default: '', null: false
    t.string 'domain'
    t.string 'header_file_name'
    t.integer 'header_file_size'
    t.integer 'id_scheme', default: 1
    t.string 'inbox_url', default: '', null: false
    t.datetime 'last_webfingered_at', precision: nil
    t.boolean 'locked', default: false, null: false
    t.text 'note', default: '', null: false
    t.text 'private_key'
    t.integer 'protocol', default: 0, null: false
    t.text 'public_key', default: '', null: false
    t.string 'shared_inbox_url', default: '', null: false
    t.datetime 'suspended_at', precision: nil
    t.integer 'suspension_origin'
    t.string 'uri', default: '', null: false
    t.string 'url'
    t.string 'username', default: '', null: false
    t.timestamps precision: nil
    t.index "lower((username)::text), COALESCE(lower((domain)::text), ''::text)", name: 'index_accounts_on_username_and_domain_lower', unique: true
  end

  create_table 'account_deletion_requests', force: :cascade do |t|
    t.bigint 'account_id'
    t.timestamps precision: nil
  end

  create_table 'follows', force: :cascade do |t|
    t.bigint 'account_id', null: false
    t.bigint 'target_account_id', null: false
    t.timestamps precision: nil
  end

  create_table 'users', force: :cascade do |t|
    t.bigint 'account_id', null: false
    t.boolean 'approved', default: true, null: false
    t.string 'chosen_languages', array: true
    t.datetime 'confirmation_sent_at', precision: nil
    t.string 'confirmation_token'
    t.datetime 'confirmed_at', precision: nil
    t.datetime 'current_sign_in_at', precision: nil
    t.boolean 'disabled', default: false, null: false
    t.string 'email', default: '', null: false
    t.string 'encrypted_password', default: '', null: false
    t.datetime 'last_sign_in_at', precision: nil
    t.string 'locale'
    t.boolean 'otp_required_for_login', default: false, null: false
    t.string 'otp_secret'
    t.bigint 'role_id'
    t.integer 'sign_in_count', default: 0, null: false
    t.timestamps precision: nil
    t.index ['account_id'], name: 'index_users_on_account_id'
    t.index ['email'], name: 'index_users_on_email', unique: true
  end

  create_table 'user_roles', force: :cascade do |t|
    t.string 'color', default: '', null: false
    t.boolean 'highlighted', default: false, null: false
    t.string 'name', default: '', null: false
    t.bigint 'permissions', default: 0, null: false
    t.integer 'position', default: 0, null: false
    t.timestamps
  end

  create_table 'settings', force: :cascade do |t|
    t.text 'value'
    t.string 'var', null: false
    t.timestamps precision: nil, null: true
    t.index ['var'], name: 'index_settings_on_var', unique: true
  end

  create_table 'rules', force: :cascade do |t|
    t.integer 'priority', default: 0, null: false
    t.text 'text', default: '', null: false
    t.datetime 'deleted_at', precision: nil
    t.timestamps precision: nil
  end

  create_table 'username_blocks', force: :cascade do |t|
    t.string 'username', null: false
    t.boolean 'exact', default: false, null: false
    t.timestamps
  end

  create_table 'statuses', id: :bigint, default: -> { "timestamp_id('statuses'::text)" }, force: :cascade do |t|
    t.bigint 'account_id', null: false
    t.datetime 'deleted_at', precision: nil
    t.string 'uri'
    t.text 'text', default: '', null: false
    t.integer 'visibility', default: 0, null: false
    t.timestamps precision: nil
  end

  create_table 'media_attachments', id: :bigint, default: -> { "timestamp_id('media_attachments'::text)" }, force: :cascade do |t|
    t.bigint 'account_id'
    t.bigint 'status_id'
    t.string 'file_content_type'
    t.string 'file_file_name'
    t.integer 'file_file_size'
    t.integer 'processing'
    t.string 'remote_url', default: '', null: false
    t.string 'thumbnail_file_name'
    t.integer 'thumbnail_file_size'
    t.integer 'type', default: 0, null: false
    t.timestamps precision: nil
  end

  create_table 'preview_cards', force: :cascade do |t|
    t.string 'image_file_name'
    t.integer 'image_file_size'
    t.string 'url', default: '', null: false
    t.timestamps precision: nil
  end

  create_table 'oauth_applications', force: :cascade do |t|
    t.string 'name', null: false
    t.string 'uid', null: false
    t.string 'secret', null: false
    t.text 'redirect_uri', null: false
    t.string 'scopes', default: '', null: false
    t.boolean 'superapp', default: false, null: false
    t.string 'website'
    t.timestamps precision: nil, null: true
  end

  create_table 'oauth_access_grants', force: :cascade do |t|
    t.bigint 'application_id', null: false
    t.bigint 'resource_owner_id', null: false
    t.string 'token', null: false
    t.integer 'expires_in', null: false
    t.text 'redirect_uri', null: false
    t.string 'scopes'
    t.datetime 'revoked_at', precision: nil
    t.datetime 'created_at', precision: nil, null: false
  end

  create_table 'oauth_access_tokens', force: :cascade do |t|
    t.bigint 'application_id'
    t.bigint 'resource_owner_id'
    t.string 'token', null: false
    t.string 'scopes'
    t.integer 'expires_in'
    t.datetime 'revoked_at', precision: nil
    t.datetime 'created_at', precision: nil, null: false
    t.index ['token'], name: 'index_oauth_access_tokens_on_token', unique: true
  end

  create_table 'session_activations', force: :cascade do |t|
    t.string 'session_id', null: false
    t.bigint 'user_id', null: false
    t.timestamps precision: nil
  end
end
