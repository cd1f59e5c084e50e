Rails.application.routes.draw do
  json = { constraints: ->(request) { request.format.to_s.include?('json') } }

  root 'pages#front'
  get 'health', to: ->(_env) { [200, { 'content-type' => 'text/plain; charset=utf-8' }, ['OK']] }

  get '.well-known/webfinger', to: 'well_known#webfinger'
  get '.well-known/nodeinfo', to: 'well_known#nodeinfo'
  get 'nodeinfo/2.0', to: 'well_known#nodeinfo_2'
  get '.well-known/host-meta', to: 'well_known#host_meta'

  get 'actor', to: 'activity_pub#instance'
  get 'ap/users/:id', to: 'activity_pub#actor', constraints: { id: /-?\d+/ }
  get 'ap/users/:account_id/statuses/:id', to: 'activity_pub#status'
  get 'users/:username', to: 'activity_pub#actor', **json
  get 'users/:username', to: redirect('/@%{username}')
  get '@:username', to: 'activity_pub#actor'
  get '@:username/:id', to: 'activity_pub#status'
  post 'inbox', to: 'activity_pub#inbox'
  post 'ap/users/:id/inbox', to: 'activity_pub#inbox'

  get 'auth/sign_in', to: 'sessions#new'
  post 'auth/sign_in', to: 'sessions#create'
  delete 'auth/sign_out', to: 'sessions#destroy'

  get 'oauth/authorize', to: 'oauth#new'
  post 'oauth/authorize', to: 'oauth#create'
  get 'oauth/authorize/native', to: 'oauth#show'
  post 'oauth/token', to: 'tokens#create'
  post 'oauth/revoke', to: 'tokens#revoke'

  get 'api/v1/instance', to: 'api/instance#v1'
  get 'api/v2/instance', to: 'api/instance#v2'
  post 'api/v1/apps', to: 'api/apps#create'
  get 'api/v1/accounts/verify_credentials', to: 'api/accounts#verify_credentials'
  post 'api/v1/media', to: 'api/media#create'
  post 'api/v2/media', to: 'api/media#create_later'
  get 'api/v1/media/:id', to: 'api/media#show'
  post 'api/v1/statuses', to: 'api/statuses#create'
  get 'api/v1/statuses/:id', to: 'api/statuses#show'
  delete 'api/v1/statuses/:id', to: 'api/statuses#destroy'
  match '*path', to: 'pages#missing', via: :all
end
