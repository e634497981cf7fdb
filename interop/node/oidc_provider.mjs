// An identity provider that nobody here wrote (oidc-provider): people log in to it in its own
// forms, and what it makes for them is exchanged at a server that trusts it.
// `node oidc_provider.mjs [PARAMETERS.json]`, else standard input. One line per check, `ok NAME`
// or `FAIL NAME: WHY`; exit code 1 when one failed.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import * as jose from 'jose'
import Provider from 'oidc-provider'
import * as client from 'openid-client'

const world = JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))
const TYPE = 'urn:ietf:params:oauth:token-type:'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const CALLBACK = 'https://desk.example/callback'
const API = 'https://stipend.example/api'

// What the provider has to say about itself is for its operators.
console.info = console.warn = () => {}

const newKey = async (kid) => {
  const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true })
  return { ...(await jose.exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' }
}

const registered = (id) => ({
  client_id: id,
  client_secret: `secret-of-${id}-0123456789`,
  redirect_uris: [CALLBACK],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  require_auth_time: true,
})

let answer
/** The provider with these keys, the first of which signs, in place of the one before. */
const serve = (keys) => {
  const provider = new Provider(world.idp, {
    clients: [registered('stipend'), registered('elsewhere')],
    jwks: { keys },
    features: {
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: () => ({ scope: 'api', audience: API, accessTokenFormat: 'jwt' }),
        useGrantedResource: () => true,
      },
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    pkce: { required: () => true },
  })
  answer = provider.callback()
}
const serving = createServer((request, response) => answer(request, response))
await new Promise((done) => serving.listen(world.port, '127.0.0.1', done))

/** A person with a browser: logs in, consents, comes back with tokens. */
const logIn = async (who, id, resource) => {
  const { client_secret } = registered(id)
  const config = await client.discovery(new URL(world.idp), id, undefined, client.ClientSecretBasic(client_secret), {
    execute: [client.allowInsecureRequests],
  })
  const verifier = client.randomPKCECodeVerifier()
  const target = resource ? { resource } : {}
  let url = client.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: resource ? 'openid api' : 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...target,
  })
  const jar = new Map()
  let form
  for (let step = 0; step < 20 && !url.href.startsWith(CALLBACK); step += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const set of answer.headers.getSetCookie()) {
      const [name, value] = set.split(';')[0].split('=')
      jar.set(name, value)
    }
    form = undefined
    const next = answer.headers.get('location')
    if (next) {
      url = new URL(next, url)
      continue
    }
    const page = await answer.text()
    assert.equal(answer.status, 200, page)
    const prompt = /name="prompt" value="(\w+)"/.exec(page)[1]
    form = prompt === 'login' ? { prompt, login: who, password: 'any' } : { prompt }
  }
  return client.authorizationCodeGrant(config, url, { pkceCodeVerifier: verifier }, target)
}

const basic = ({ id, secret }) =>
  client.discovery(new URL(world.issuer), id, undefined, client.ClientSecretBasic(secret), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  })

const exchange = async (who, subject_token, type) =>
  client.genericGrantRequest(await basic(who), EXCHANGE, {
    subject_token,
    subject_token_type: TYPE + type,
    resource: world.resource,
    scope: 'read',
  })

const refused = async (who, token, type) => {
  const error = await exchange(who, token, type).then(
    () => assert.fail('it was exchanged'),
    (error) => error,
  )
  assert.deepEqual([error.status, error.error], [400, 'invalid_request'], String(error))
}

const keys = jose.createRemoteJWKSet(new URL(`${world.issuer}/oauth2/jwks`))
const verified = async ({ access_token }) =>
  (await jose.jwtVerify(access_token, keys, { issuer: world.issuer, audience: world.resource, typ: 'at+jwt' })).payload

const [first, second] = [await newKey('first'), await newKey('second')]
serve([first])
const alice = await logIn('alice', 'stipend', API)
const said = jose.decodeJwt(alice.id_token)

const checks = {
  'an ID token is exchanged for its person': async () => {
    const made = await verified(await exchange(world.desk, alice.id_token, 'id_token'))
    assert.equal(made.sub, `user:${world.trusted}:alice`)
    assert.deepEqual(made.act, { sub: `agent:${world.desk.id}` })
    assert.deepEqual([made.scope, made.client_id, made.idp], ['read', world.desk.id, world.trusted])
    assert.ok(made.exp <= said.exp)
  },
  'when the person logged in is kept': async () => {
    const made = await verified(await exchange(world.desk, alice.id_token, 'id_token'))
    assert.equal(typeof said.auth_time, 'number')
    assert.equal(made.auth_time, said.auth_time)
  },
  'an access token of the provider is exchanged': async () => {
    assert.equal(jose.decodeProtectedHeader(alice.access_token).typ, 'at+jwt')
    const made = await verified(await exchange(world.desk, alice.access_token, 'access_token'))
    assert.equal(made.sub, `user:${world.trusted}:alice`)
    assert.equal(made.scope, 'read', 'and not what it may at the provider')
  },
  'as a JWT as well': async () => {
    await verified(await exchange(world.desk, alice.access_token, 'jwt'))
    await verified(await exchange(world.desk, alice.id_token, 'jwt'))
  },
  'an ID token is no access token': () => refused(world.desk, alice.id_token, 'access_token'),
  'an access token is no ID token': () => refused(world.desk, alice.access_token, 'id_token'),
  'an ID token for another client is refused': async () => {
    const { id_token } = await logIn('alice', 'elsewhere')
    await refused(world.desk, id_token, 'id_token')
  },
  'a changed ID token is refused': async () => {
    const [header, , signature] = alice.id_token.split('.')
    const payload = jose.base64url.encode(JSON.stringify({ ...said, sub: 'mallory' }))
    await refused(world.desk, `${header}.${payload}.${signature}`, 'id_token')
  },
  'a client that no rule lets in is refused': () => refused(world.stranger, alice.id_token, 'id_token'),
  'the provider signs with a new key': async () => {
    serve([second, first])
    const bob = await logIn('bob', 'stipend', API)
    assert.equal(jose.decodeProtectedHeader(bob.id_token).kid, 'second')
    // Its keys are asked for again some seconds after they were.
    const asked = Date.now()
    let made
    while (!made) {
      made = await exchange(world.desk, bob.id_token, 'id_token').catch((error) => {
        if (Date.now() - asked > 20_000) throw error
      })
      if (!made) await new Promise((done) => setTimeout(done, 1000))
    }
    assert.equal((await verified(made)).sub, `user:${world.trusted}:bob`)
    await verified(await exchange(world.desk, alice.id_token, 'id_token'))
  },
  'while the provider is away its keys are known': async () => {
    serving.closeAllConnections()
    await new Promise((done) => serving.close(done))
    await verified(await exchange(world.desk, alice.id_token, 'id_token'))
  },
}

let failed = false
for (const [name, check] of Object.entries(checks)) {
  try {
    await check()
    console.log(`ok ${name}`)
  } catch (error) {
    failed = true
    console.log(`FAIL ${name}: ${String(error?.stack ?? error).replaceAll('\n', ' ')}`)
  }
}
process.exit(failed ? 1 : 0)
