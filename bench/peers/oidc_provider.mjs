// oidc-provider, as it is measured beside this server: JWT access tokens (ES256) for one client
// with a secret, on so many processes of one port. It keeps nothing: its default store is the
// memory of each process, and it has no audit.

import cluster from 'node:cluster'
import { createPrivateKey } from 'node:crypto'
import { createServer } from 'node:http'

const { PORT, ISSUER, CLIENT_ID, CLIENT_SECRET, WORKERS, KEY } = process.env

if (cluster.isPrimary) {
  for (let index = 0; index < Number(WORKERS); index += 1) cluster.fork()
  // A worker that ends takes all with it: half a peer is no figure.
  cluster.on('exit', () => process.exit(1))
} else {
  const { default: Provider } = await import('oidc-provider')
  console.info = console.warn = () => {}
  const jwk = { ...JSON.parse(KEY), alg: 'ES256', use: 'sig', kid: 'bench' }
  createPrivateKey({ key: jwk, format: 'jwk' })
  const provider = new Provider(ISSUER, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_basic',
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [jwk] },
    routes: { token: '/oauth2/token' },
    scopes: ['work'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://acme.bench.example',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'work',
          audience: 'https://acme.bench.example',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
  const server = createServer(provider.callback())
  server.keepAliveTimeout = 75_000
  server.listen(Number(PORT), '127.0.0.1')
}
