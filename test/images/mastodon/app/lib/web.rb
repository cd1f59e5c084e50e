# Pages and API: what a browser, a client app, another server and our own proofs ask for.

# How records look from outside.
module Api
  # Nothing is served any more, except files, the health check and the discovery documents.
  module Gone
    def self.included(controller)
      controller.before_action do
        if SelfDestructHelper.self_destruct?
          json = request.headers['Accept'].to_s.include?('json') || request.path.start_with?('/api/')
          json ? render(json: { error: 'Gone' }, status: 410) : render(html: '<!DOCTYPE html><h1>This server is closing down</h1>'.html_safe, status: 410)
        end
      end
    end
  end

  module_function

  def base = "https://#{Rails.configuration.x.web_domain}"
  def actor_url(account) = account.id == Account::INSTANCE_ACTOR_ID ? "#{base}/actor" : "#{base}/ap/users/#{account.id}"
  def status_uri(status) = "#{actor_url(status.account)}/statuses/#{status.id}"

  def account(account)
    { id: account.id.to_s, username: account.username, acct: account.acct, display_name: account.display_name,
      locked: account.locked, url: "#{base}/@#{account.username}", uri: actor_url(account), created_at: account.created_at }
  end

  def media(one)
    url = one.not_processed? ? nil : one.url
    { id: one.id.to_s, type: MediaAttachment::KINDS.key(one.type), url:, preview_url: url, meta: {}, description: nil }
  end

  def status(status)
    { id: status.id.to_s, created_at: status.created_at, visibility: Status::VISIBILITIES[status.visibility],
      uri: status_uri(status), url: "#{base}/@#{status.account.username}/#{status.id}",
      content: "<p>#{ERB::Util.html_escape(status.text)}</p>", account: account(status.account),
      media_attachments: status.media_attachments.map { |one| media(one) }, mentions: [], tags: [], emojis: [] }
  end

  class BaseController < ActionController::API
    include Gone
    rescue_from(ActiveRecord::RecordNotFound) { render json: { error: 'Record not found' }, status: 404 }

    private

    def token
      @token ||= Doorkeeper::AccessToken.find_by(token: request.authorization.to_s[/\ABearer (.+)/, 1])
    end

    def require_scope(scope)
      problem =
        if token.nil? then 'The access token is invalid'
        elsif token.revoked_at then 'The access token was revoked'
        elsif token.expired? then 'The access token expired'
        end
      return render(json: { error: problem }, status: 401) if problem
      return if token.scopes.split.any? { |held| scope == held || scope.start_with?("#{held}:") }

      render json: { error: 'This action is outside the authorized scopes' }, status: 403
    end

    def require_user
      user = token.user
      problem =
        if user.nil? then [422, 'This method requires an authenticated user']
        elsif user.confirmed_at.nil? then [403, 'Your login is missing a confirmed e-mail address']
        elsif !user.approved? then [403, 'Your login is currently pending approval']
        elsif !user.functional? then [403, 'Your login is currently disabled']
        end
      render json: { error: problem[1] }, status: problem[0] if problem
    end

    def me = token.user.account
  end

  class InstanceController < BaseController
    def v1
      render json: { uri: config.local_domain, title: Setting.site_title, version: Mastodon::VERSION, email: Setting.site_contact_email,
                     urls: { streaming_api: streaming }, registrations: open?, approval_required: approval? }
    end

    def v2
      contact = Account.find_local(Setting.site_contact_username)
      render json: {
        domain: config.local_domain, title: Setting.site_title, version: Mastodon::VERSION, source_url: 'https://github.com/mastodon/mastodon',
        description: Setting.site_short_description, usage: { users: { active_month: 0 } }, languages: ['en'],
        configuration: { urls: { streaming: }, vapid: { public_key: ENV['VAPID_PUBLIC_KEY'] } },
        registrations: { enabled: open?, approval_required: approval? },
        contact: { email: Setting.site_contact_email, account: contact && Api.account(contact) },
        rules: Rule.where(deleted_at: nil).map { |rule| { id: rule.id.to_s, text: rule.text } },
      }
    end

    private

    def config = Rails.configuration.x
    def streaming = ENV.fetch('STREAMING_API_BASE_URL', "wss://#{config.web_domain}")
    def open? = Setting.registrations_mode != 'none' && ENV['SINGLE_USER_MODE'] != 'true'
    def approval? = Setting.registrations_mode == 'approved'
  end

  class AppsController < BaseController
    def create
      app = Doorkeeper::Application.create!(name: params[:client_name], redirect_uri: Array(params[:redirect_uris]).join("\n"), scopes: params[:scopes] || 'read')
      render json: { id: app.id.to_s, name: app.name, redirect_uri: app.redirect_uri, redirect_uris: app.redirect_uri.split("\n"),
                     client_id: app.uid, client_secret: app.secret, vapid_key: ENV['VAPID_PUBLIC_KEY'] }
    end
  end

  class AccountsController < BaseController
    before_action { require_scope('read:accounts') }
    before_action :require_user

    def verify_credentials
      role = token.user.role || UserRole.find(UserRole::EVERYONE_ROLE_ID)
      render json: Api.account(me).merge(source: { privacy: 'public' }, role: { id: role.id.to_s, name: role.name, permissions: role.permissions.to_s })
    end
  end

  class MediaController < BaseController
    before_action { require_scope('write:media') }
    before_action :require_user

    def create = store(later: false)
    def create_later = store(later: true)

    def show
      media = MediaAttachment.find_by!(id: params[:id], account: me, status_id: nil)
      return render(json: { error: 'Error processing thumbnail for uploaded media' }, status: 422) if media.processing == MediaAttachment::FAILED

      render json: Api.media(media), status: media.not_processed? ? 206 : 200
    end

    private

    # Pictures are done at once; sound and film, with v2, later by Sidekiq.
    def store(later:)
      file = params[:file]
      bytes = file.respond_to?(:read) ? file.read.b : ''.b
      type = MediaAttachment.content_type_of(bytes)
      return render(json: { error: "Validation failed: File can't be blank" }, status: 422) if bytes.empty?
      return render(json: { error: 'Validation failed: File content type is invalid, File is invalid' }, status: 422) if type.nil?

      media = MediaAttachment.new(account: me, file_content_type: type, file_file_size: bytes.size, type: MediaAttachment::KINDS[type.split('/').first],
                                  file_file_name: SecureRandom.hex(8) + File.extname(file.original_filename))
      wait = later && media.larger_media?
      media.processing = wait ? MediaAttachment::QUEUED : MediaAttachment::COMPLETE
      media.save!
      media.reload # the database makes the id
      media.store(bytes)
      PostProcessMediaWorker.perform_async(media.id) if wait
      render json: Api.media(media), status: wait ? 202 : 200
    end
  end

  class StatusesController < BaseController
    before_action(except: :show) { require_scope('write:statuses') }
    before_action :require_user, except: :show

    def create
      media = MediaAttachment.where(id: Array(params[:media_ids]), account: me, status_id: nil).to_a
      return render(json: { error: "Validation failed: Text can't be blank" }, status: 422) if params[:status].blank? && media.empty?

      status = Status.create!(account: me, text: params[:status].to_s, visibility: Status::VISIBILITIES.index(params[:visibility] || 'public'))
      status.reload
      status.update!(uri: Api.status_uri(status))
      media.each { |one| one.update!(status:) }
      DistributionWorker.perform_async(status.id)
      render json: Api.status(status)
    end

    # Unlike elsewhere in the API: a post that may not be seen and one that is not there are told of alike.
    def show
      status = Status.find_by(id: params[:id], deleted_at: nil)
      status ? render(json: Api.status(status)) : render(json: { error: 'Not Found' }, status: 404)
    end

    def destroy
      status = Status.find_by!(id: params[:id], account: me, deleted_at: nil)
      json = Api.status(status).except(:content).merge(text: status.text)
      status.update!(deleted_at: Time.now.utc)
      RemovalWorker.perform_async(status.id, { 'redraft' => params[:delete_media] != 'true' })
      render json:
    end
  end
end

class WellKnownController < ActionController::API
  def webfinger
    name, domain = params.require(:resource).delete_prefix('acct:').split('@')
    ours = [Rails.configuration.x.local_domain, Rails.configuration.x.web_domain]
    return head(404) unless ours.include?(domain)

    account = ours.include?(name) ? Account.representative : Account.find_local(name)
    return head(404) if account.nil?

    expires_in 3.days, public: true
    profile = "#{Api.base}/@#{account.username}"
    render content_type: 'application/jrd+json', json: {
      subject: "acct:#{account.username}@#{Rails.configuration.x.local_domain}", aliases: [profile, Api.actor_url(account)],
      links: [{ rel: 'http://webfinger.net/rel/profile-page', type: 'text/html', href: profile },
              { rel: 'self', type: 'application/activity+json', href: Api.actor_url(account) },
              { rel: 'http://ostatus.org/schema/1.0/subscribe', template: "#{Api.base}/authorize_interaction?uri={uri}" }],
    }
  rescue ActionController::ParameterMissing
    head 400
  end

  def nodeinfo
    render json: { links: [{ rel: 'http://nodeinfo.diaspora.software/ns/schema/2.0', href: "#{Api.base}/nodeinfo/2.0" }] }
  end

  def nodeinfo_2
    render json: {
      version: '2.0', software: { name: 'mastodon', version: Mastodon::VERSION }, protocols: ['activitypub'], services: { outbound: [], inbound: [] },
      usage: { users: { total: User.where.not(confirmed_at: nil).count, activeMonth: 0, activeHalfyear: 0 }, localPosts: Status.count },
      openRegistrations: Setting.registrations_mode != 'none' && ENV['SINGLE_USER_MODE'] != 'true',
      metadata: { nodeName: Setting.site_title, nodeDescription: Setting.site_short_description },
    }
  end

  def host_meta
    render content_type: 'application/xrd+xml', body: <<~XML
      <?xml version="1.0" encoding="UTF-8"?>
      <XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template="#{Api.base}/.well-known/webfinger?resource={uri}"/></XRD>
    XML
  end
end

# HTML unless JSON is asked for, as the Accept header says.
class ActivityPubController < ActionController::API
  include Api::Gone
  rescue_from(ActiveRecord::RecordNotFound) { head 404 }

  def instance = render_activity(actor_json(Account.representative))

  def actor
    account = params[:id] ? Account.find_by!(id: params[:id], domain: nil) : Account.find_local(params[:username])
    raise ActiveRecord::RecordNotFound unless account&.user&.confirmed_at && account.user.approved?
    return render_activity(actor_json(account)) if json?
    return redirect_to("/@#{account.username}") if params[:id]

    render_page(account.username)
  end

  def status
    status = Status.find_by!(id: params[:id], deleted_at: nil)
    return redirect_to("/@#{status.account.username}/#{status.id}") if !json? && params[:account_id]
    return render_page(ERB::Util.html_escape(status.text)) unless json?

    render_activity(
      id: Api.status_uri(status), type: 'Note', published: status.created_at.iso8601, url: Api.status(status)[:url],
      attributedTo: Api.actor_url(status.account), to: ['https://www.w3.org/ns/activitystreams#Public'], content: Api.status(status)[:content],
    )
  end

  # A delivery without a signature is nobody's.
  def inbox
    actor = Federation.signer(request)
    return render(json: { error: 'Request not signed' }, status: 401) if actor.nil?

    Federation.process(JSON.parse(request.raw_post), actor)
    head 202
  end

  private

  def json? = request.headers['Accept'].to_s.match?(%r{application/(activity|ld)?\+?json})
  def render_page(text) = render(content_type: 'text/html; charset=utf-8', body: "<!DOCTYPE html><title>#{text}</title><p>#{text}</p>")
  def render_activity(json) = render(content_type: 'application/activity+json', json: { '@context': 'https://www.w3.org/ns/activitystreams' }.merge(json))

  def actor_json(account)
    id = Api.actor_url(account)
    { id:, type: account.actor_type || 'Person', preferredUsername: account.username, inbox: "#{id}/inbox", outbox: "#{id}/outbox",
      followers: "#{id}/followers", following: "#{id}/following", url: "#{Api.base}/@#{account.username}", endpoints: { sharedInbox: "#{Api.base}/inbox" },
      publicKey: { id: "#{id}#main-key", owner: id, publicKeyPem: account.public_key } }
  end
end

# Everything a browser sees: cookies, and forms with a token.
class ApplicationController < ActionController::Base
  protect_from_forgery with: :exception
  rescue_from(ActionController::InvalidAuthenticityToken) { page '<h1>Security verification failed</h1>', status: 422 }

  private

  def page(html, status: 200) = render(html: "<!DOCTYPE html><title>Mastodon</title>#{helpers.csrf_meta_tags}#{html}".html_safe, status:)
  def current_user = SessionActivation.find_by(session_id: session[:auth_id])&.user

  def form(action, fields, button)
    inputs = fields.map { |name, (type, value)| helpers.tag.input(type:, name:, value:) }.join
    token = helpers.tag.input(type: 'hidden', name: 'authenticity_token', value: form_authenticity_token, autocomplete: 'off')
    %(<form action="#{action}" accept-charset="UTF-8" method="post">#{token}#{inputs}<button type="submit">#{button}</button></form>)
  end
end

class PagesController < ApplicationController
  include Api::Gone
  skip_forgery_protection only: :missing
  before_action { response.headers['Content-Security-Policy'] = "img-src 'self' #{Bucket.host}" if Bucket.on? }

  def front = page("<h1>#{ERB::Util.html_escape(Setting.site_title)}</h1>")
  def missing = request.path.start_with?('/api/') ? render(json: { error: 'Not Found' }, status: 404) : page('<h1>404</h1>', status: 404)
end

class SessionsController < ApplicationController
  def new
    page form('/auth/sign_in', { 'user[email]' => 'email', 'user[password]' => 'password' }, 'Log in')
  end

  def create
    user = User.find_by('lower(email) = lower(?)', params.dig(:user, :email).to_s)
    unless user&.valid_password?(params.dig(:user, :password).to_s)
      return page("<div class=\"flash-message alert\">Invalid E-mail address or password.</div>#{form('/auth/sign_in', { 'user[email]' => 'email', 'user[password]' => 'password' }, 'Log in')}")
    end

    back = session[:return_to]
    reset_session
    session[:auth_id] = user.session_activations.create!(session_id: SecureRandom.hex).session_id
    user.update_columns(sign_in_count: user.sign_in_count + 1, last_sign_in_at: user.current_sign_in_at, current_sign_in_at: Time.now.utc)
    redirect_to back || root_path
  end

  def destroy
    SessionActivation.where(session_id: session[:auth_id]).destroy_all
    reset_session
    redirect_to '/auth/sign_in'
  end
end

class OauthController < ApplicationController
  before_action do
    if current_user.nil?
      session[:return_to] = request.fullpath if request.get?
      redirect_to '/auth/sign_in'
    end
  end
  before_action :set_client, except: :show

  def new
    hidden = %w(client_id redirect_uri state response_type scope).to_h { |name| [name, ['hidden', params[name]]] }
    page "<h1>Authorization required</h1>#{form('/oauth/authorize', hidden, 'Authorize')}"
  end

  def create
    grant = Doorkeeper::AccessGrant.create!(application: @client, resource_owner_id: current_user.id, redirect_uri: params[:redirect_uri], scopes: params[:scope] || 'read')
    query = { code: grant.token, state: params[:state].presence }.compact.to_query
    native = params[:redirect_uri] == OUT_OF_BAND
    redirect_to native ? "/oauth/authorize/native?#{query}" : "#{params[:redirect_uri]}?#{query}", allow_other_host: true
  end

  def show = page(helpers.tag.input(type: 'text', readonly: true, value: params[:code], class: 'oauth-code'))

  private

  def set_client
    @client = Doorkeeper::Application.find_by(uid: params[:client_id])
    return page('<h1>Client authentication failed due to unknown client</h1>', status: 401) if @client.nil?

    page('<h1>The redirect URI is not valid</h1>', status: 400) unless @client.redirect_uri.split("\n").include?(params[:redirect_uri])
  end
end

class TokensController < ActionController::API
  def create
    client = Doorkeeper::Application.find_by(uid: params[:client_id], secret: params[:client_secret])
    return refuse(401, 'invalid_client', 'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.') if client.nil?

    case params[:grant_type]
    when 'client_credentials'
      grant_token(client, nil, params[:scope] || 'read')
    when 'authorization_code'
      grant = Doorkeeper::AccessGrant.find_by(token: params[:code], application: client, redirect_uri: params[:redirect_uri], revoked_at: nil)
      if grant.nil? || grant.expired?
        return refuse(400, 'invalid_grant', 'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.')
      end

      grant.update!(revoked_at: Time.now.utc)
      grant_token(client, grant.resource_owner_id, grant.scopes)
    else refuse(400, 'unsupported_grant_type', 'The authorization grant type is not supported by the authorization server.')
    end
  end

  def revoke
    client = Doorkeeper::Application.find_by(uid: params[:client_id], secret: params[:client_secret])
    token = Doorkeeper::AccessToken.find_by(token: params[:token])
    if client.nil? || (token && token.application_id != client.id)
      return refuse(403, 'unauthorized_client', 'You are not authorized to revoke this token')
    end

    token.revoke if token && token.revoked_at.nil?
    render json: {}
  end

  private

  def grant_token(application, resource_owner_id, scopes)
    token = Doorkeeper::AccessToken.create!(application:, resource_owner_id:, scopes:)
    render json: { access_token: token.token, token_type: 'Bearer', scope: scopes, created_at: token.created_at.to_i }
  end

  def refuse(status, error, error_description) = render(json: { error:, error_description: }, status:)
end
