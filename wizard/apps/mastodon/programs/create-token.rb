# Prints a token of the account `name` for ten minutes, and its client app, as JSON.

app = Doorkeeper::Application.find_by(name: 'fedi-setup') || Doorkeeper::Application.create!(name: 'fedi-setup', redirect_uri: values['redirect'], scopes: values['scopes'])
user = Account.find_local!(values['name']).user
token = Doorkeeper::AccessToken.create!(application: app, resource_owner_id: user.id, scopes: values['scopes'], expires_in: 600)
puts JSON.generate(token: token.token, client: { client_id: app.uid, client_secret: app.secret })
