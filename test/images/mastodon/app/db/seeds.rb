# Every seed looks first, so that they can run again at any time.
Doorkeeper::Application.create_with(name: 'Web', redirect_uri: OUT_OF_BAND, scopes: 'read write follow push').find_or_create_by!(superapp: true)
Account.create_with(actor_type: 'Application', locked: true, username: 'mastodon.internal').find_or_create_by!(id: Account::INSTANCE_ACTOR_ID)

UserRole.create_with(permissions: 1 << 16, position: -1).find_or_create_by!(id: UserRole::EVERYONE_ROLE_ID)
{ 'Moderator' => [10, 1_049_884], 'Admin' => [100, 2_031_612], 'Owner' => [1000, 1] }.each do |name, (position, permissions)|
  UserRole.create_with(position:, permissions:, highlighted: true).find_or_create_by!(name:)
end

%w(abuse admin help moderator owner root security support webmaster).each do |username|
  UsernameBlock.create_with(exact: true).find_or_create_by!(username:)
end
