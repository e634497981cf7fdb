// oidc-provider as a peer for the conformance runner: client credentials,
// introspection, revocation, resource indicators, and the exchange beside it.
// Keys of the clients are made at start and left in ./keys for the profile.
import { mkdirSync, writeFileSync } from 'node:fs';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import Provider, { errors } from 'oidc-provider';
import { exchange, grantType, parameters } from './exchange.mjs';

const port = Number(process.env.PORT ?? 4600);
const issuer = `http://127.0.0.1:${port}`;

async function keyFor(name, alg) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  mkdirSync(new URL('./keys/', import.meta.url), { recursive: true });
  writeFileSync(new URL(`./keys/${name}.pem`, import.meta.url), await exportPKCS8(privateKey));
  return { ...(await exportJWK(publicKey)), alg, use: 'sig', kid: name };
}

const api = (scope, more) => ({ scope, accessTokenTTL: 300, ...more });
const jwt = { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
const opaque = { accessTokenFormat: 'opaque' };
const resources = {
  'https://a.example/api': { ...api('a:read a:write', jwt), audience: 'https://a.example/api' },
  'https://b.example/api': { ...api('b:read', jwt), audience: 'https://b.example/api' },
  'https://o.example/api': { ...api('o:read o:write', opaque), audience: 'https://o.example/api' },
  'https://forbidden.example/api': { ...api('f:read', jwt), audience: 'https://forbidden.example/api' },
  'https://short.example/api': { ...api('s:read', opaque), audience: 'https://short.example/api', accessTokenTTL: 2 },
};

const client = (id, method, more) => ({
  client_id: id,
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials', grantType],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: 'ES256',
  introspection_signed_response_alg: 'ES256',
  ...more,
});
const secret = (id, method = 'client_secret_basic', more = {}) => client(id, method, { client_secret: `secret-of-${id}-0123456789abcdef`, ...more });
const signing = async (id, alg) => client(id, 'private_key_jwt', {
  jwks: { keys: [await keyFor(id, alg)] },
  token_endpoint_auth_signing_alg: alg,
});

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'signing' };

const provider = new Provider(issuer, {
  clients: [
    secret('basic'), secret('post', 'client_secret_post'), secret('other'),
    secret('service'),
    secret('bound', 'client_secret_basic', { dpop_bound_access_tokens: true }),
    secret('hop-1'), secret('hop-2'),
    secret('expired', 'client_secret_basic', { client_secret_expires_at: 1 }),
    secret('limited', 'client_secret_basic', { grant_types: ['client_credentials'] }),
    client('a:b', 'client_secret_basic', { client_secret: 'p%+&=:/ ~"\\' }),
    await signing('es256', 'ES256'), await signing('es256-other', 'ES256'), await signing('rs256', 'RS256'),
    await signing('ps256', 'PS256'), await signing('ed25519', 'Ed25519'),
  ],
  jwks: { keys: [signingKey] },
  responseTypes: ['code'],
  scopes: ['a:read', 'a:write', 'b:read', 'o:read', 'o:write', 's:read', 'f:read'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'RS256', 'PS256', 'Ed25519'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    jwtIntrospection: { enabled: true },
    introspection: {
      enabled: true,
      allowedPolicy: (ctx, asking, token) => asking.clientId === 'service' && token.aud !== 'https://short.example/api',
    },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, uri) => {
        if (!resources[uri] || uri.includes('forbidden')) throw new errors.InvalidTarget();
        return resources[uri];
      },
    },
  },
  extraTokenClaims: (ctx, token) => token.extra,
});

const publicKeys = { keys: [{ ...signingKey, d: undefined }] };
const rule = (actor, from, to, scope) => ({ actor, from, to, scope });
provider.registerGrantType(grantType, exchange(provider, {
  publicKeys,
  resources,
  rules: [
    rule('es256', 'https://a.example/api', 'https://o.example/api', 'o:read'),
    ...['hop-1', 'hop-2'].map((id) => rule(id, 'https://o.example/api', 'https://o.example/api', 'o:read')),
  ],
}), parameters, ['audience', 'resource']);

provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(port, '127.0.0.1', () => console.log(`listening on ${issuer}`));
