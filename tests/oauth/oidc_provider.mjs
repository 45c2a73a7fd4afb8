// npm's oidc-provider as somebody's provider, told by its one argument (JSON) what to be:
// {callbacks, backchannel, back, clientId, clientSecret, accounts: {login: {email, email_verified, name}}, lifetime}.
// Prints its issuer when it serves, and serves until its standard input ends.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Its warnings that it is not fit for the world are known.
console.warn = console.info = () => {};
const told = JSON.parse(process.argv[2]);
const found = createRequire(pathToFileURL(`${told.node}/`)).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));

const server = createServer((request, response) => answer(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: told.clientId,
    client_secret: told.clientSecret,
    redirect_uris: told.callbacks,
    post_logout_redirect_uris: told.back,
    backchannel_logout_uri: told.backchannel,
    backchannel_logout_session_required: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_, login) => ({
    accountId: login,
    claims: () => ({ sub: login, ...(told.accounts[login] ?? { email: `${login}@example.com`, email_verified: true }) }),
  }),
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // As most providers do without asking again; the default wants `prompt=consent` each time.
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: { AccessToken: told.lifetime ?? 3600, Grant: 86400, IdToken: 3600, Interaction: 3600, RefreshToken: 86400, Session: 86400 },
  cookies: { keys: [crypto.randomUUID()] },
  // Its own protection of special addresses would keep it from ours, which is one.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
});
provider.on('server_error', (_, error) => console.error(error));
provider.on('backchannel.error', (_, error) => console.error(String(error)));
const answer = provider.callback();

console.log(JSON.stringify({ issuer }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
