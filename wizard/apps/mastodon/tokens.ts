/** Short-lived tokens of the owner, for proofs after the first run: the owner may have changed the password since. */
import type { AppConfig } from '../../config/config.ts';
import { OUT_OF_BAND, SCOPES } from '../../prove/client-api.ts';
import type { ClientApp } from '../../prove/client-api.ts';
import type { ProofContext } from '../../prove/proof.ts';
import { literal } from '../shared/postgres.ts';
import { query } from './data.ts';
import type { MastodonOptions } from './options.ts';
import { rails } from './runner.ts';

export interface Minted {
  readonly token: string;
  readonly client: ClientApp;
}

/** From the server's source of secure random numbers, made in the database, so that no command line contains it. */
const RANDOM = "replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')";
const NOW = "now() at time zone 'utc'";

/** The rows that Doorkeeper writes for a client app and a token of ten minutes. Prints them as JSON. */
const mint = (admin: string): string => `
with found as (select id, uid, secret from oauth_applications where name = 'fedi-setup' order by id limit 1),
made as (
  insert into oauth_applications (name, uid, secret, redirect_uri, scopes, created_at, updated_at)
  select 'fedi-setup', ${RANDOM}, ${RANDOM}, '${OUT_OF_BAND}', '${SCOPES}', ${NOW}, ${NOW}
  where not exists (select from found) returning id, uid, secret
),
client as (select * from found union all select * from made)
insert into oauth_access_tokens (token, expires_in, scopes, created_at, application_id, resource_owner_id)
select ${RANDOM}, 600, '${SCOPES}', ${NOW}, client.id, users.id
from client, users join accounts on accounts.id = users.account_id
where lower(accounts.username) = ${literal(admin)} and accounts.domain is null
returning json_build_object('token', token, 'client',
  (select json_build_object('client_id', uid, 'client_secret', secret) from client))`;

const mintedIn = (stdout: string): Minted | undefined => {
  const line = stdout.split('\n').findLast((one) => one.startsWith('{"token"'));
  return line === undefined ? undefined : (JSON.parse(line) as Minted);
};

/** Creates a token in the database; undefined: its tables are not as expected. Takes a fraction of a second, Rails ten. */
export async function mintInDatabase(
  { inside }: ProofContext,
  { admin, options }: AppConfig<MastodonOptions>,
): Promise<Minted | undefined> {
  const { service, check } = query(options, mint(admin));
  const { code, stdout } = await inside(service, check);
  return code === 0 ? mintedIn(stdout) : undefined;
}

/** Creates a token as Mastodon does. Throws if Rails prints none. */
export async function mintInRails(
  { inside }: ProofContext,
  { admin }: AppConfig<MastodonOptions>,
): Promise<Minted> {
  const { stdout, stderr } = await inside(
    'mastodon_web',
    rails('create-token.rb', { name: admin, scopes: SCOPES, redirect: OUT_OF_BAND }),
  );
  const minted = mintedIn(stdout);
  if (minted === undefined)
    throw new Error(`no token could be created: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  return minted;
}
