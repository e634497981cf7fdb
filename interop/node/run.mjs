// Runs the Node clients against a server: `node run.mjs [PARAMETERS.json]`, else standard
// input. One line per check, `ok NAME` or `FAIL NAME: WHY`; exit code 1 when one failed.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as jose from 'jose'
import * as client from 'openid-client'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const CIBA = 'urn:openid:params:grant-type:ciba'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const world = JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))

// The server under test speaks plain HTTP on loopback, which the library wants said aloud.
const discover = ({ id }, auth) =>
  client.discovery(new URL(world.issuer), id, undefined, auth, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  })
const basic = (who) => discover(who, client.ClientSecretBasic(who.secret))
const own = async (who, parameters = {}) =>
  client.clientCredentialsGrant(await basic(who), { resource: world.resource, ...parameters })

const signed = async (who) => {
  const key = await jose.importPKCS8(who.private_key_pem, who.alg)
  return discover(who, client.PrivateKeyJwt({ key, kid: who.kid }))
}

const exchange = async (parameters) => {
  const [subject, actor] = [await own(world.planner), await own(world.refunds)]
  const answer = await client.genericGrantRequest(await basic(world.refunds), TOKEN_EXCHANGE, {
    subject_token: subject.access_token,
    subject_token_type: ACCESS_TOKEN,
    actor_token: actor.access_token,
    actor_token_type: ACCESS_TOKEN,
    ...parameters,
  })
  return { subject, answer }
}

const introspect = async (token) => client.tokenIntrospection(await basic(world.service), token)

// The library's own error with the server's code in it.
const refused = (work, error) => assert.rejects(work, (raised) => {
  assert(raised instanceof client.ResponseBodyError, `${raised.name}: ${raised.message}`)
  assert.equal(raised.error, error)
  return true
})

const verify = async (token, expected = {}) => {
  const { jwks_uri } = (await basic(world.service)).serverMetadata()
  const keys = jose.createRemoteJWKSet(new URL(jwks_uri))
  return jose.jwtVerify(token, keys, { issuer: world.issuer, audience: world.resource, typ: 'at+jwt', ...expected })
}

const changed = (token) => {
  const [head, payload, signature] = token.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url')), scope: 'read write refund' }
  return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}

const checks = {
  async openid_client_discovers() {
    const metadata = (await basic(world.planner)).serverMetadata()
    assert.equal(metadata.issuer, world.issuer)
    assert.equal(metadata.token_endpoint, `${world.issuer}/oauth2/token`)
    assert.deepEqual(metadata.grant_types_supported, ['client_credentials', TOKEN_EXCHANGE, CIBA, JWT_BEARER])
  },

  async openid_client_discovers_at_the_openid_path() {
    const auth = client.ClientSecretBasic(world.planner.secret)
    const options = { algorithm: 'oidc', execute: [client.allowInsecureRequests] }
    const config = await client.discovery(new URL(world.issuer), world.planner.id, undefined, auth, options)
    assert.equal(config.serverMetadata().jwks_uri, `${world.issuer}/oauth2/jwks`)
  },

  async openid_client_client_secret_basic() {
    const answer = await own(world.planner, { scope: 'read' })
    assert.equal(answer.token_type, 'bearer')
    assert.equal(answer.scope, 'read')
    assert(answer.expires_in > 0 && answer.expires_in <= 300)
  },

  async openid_client_client_secret_post() {
    const config = await discover(world.post, client.ClientSecretPost(world.post.secret))
    const answer = await client.clientCredentialsGrant(config, { resource: world.resource })
    assert.equal(answer.scope, 'read')
  },

  async openid_client_private_key_jwt() {
    const config = await signed(world.signer)
    for (const scope of ['read', undefined]) {
      const parameters = scope ? { scope, resource: world.resource } : { resource: world.resource }
      assert.equal((await client.clientCredentialsGrant(config, parameters)).scope, 'read')
    }
  },

  async openid_client_exchanges() {
    const { subject, answer } = await exchange({ scope: 'refund', resource: world.resource })
    assert.equal(answer.issued_token_type, ACCESS_TOKEN)
    assert.equal(answer.scope, 'refund')
    assert(answer.expires_in <= subject.expires_in)
    const { payload } = await verify(answer.access_token)
    assert.equal(payload.sub, `agent:${world.planner.id}`)
    assert.deepEqual(payload.act, { sub: `agent:${world.refunds.id}` })
    assert.deepEqual(payload.lineage, [jose.decodeJwt(subject.access_token).jti])
  },

  async openid_client_exchange_is_refused_with_its_code() {
    await refused(exchange({ scope: 'write' }), 'invalid_scope')
    await refused(exchange({ resource: world.other_resource }), 'invalid_target')
    await refused(exchange({ subject_token: 'nonsense' }), 'invalid_request')
  },

  async openid_client_introspects() {
    const { access_token: token } = await own(world.planner, { scope: 'read' })
    const claims = await introspect(token)
    assert.equal(claims.active, true)
    assert.equal(claims.client_id, world.planner.id)
    assert.equal(claims.scope, 'read')
    assert.deepEqual(await introspect('nonsense'), { active: false })
  },

  async openid_client_introspects_with_a_private_key() {
    const { access_token: token } = await client.clientCredentialsGrant(await signed(world.signer), { resource: world.resource })
    assert.equal((await client.tokenIntrospection(await signed(world.signer), token)).active, true)
  },

  async openid_client_revoking_a_parent_revokes_its_child() {
    const { subject, answer } = await exchange({ scope: 'refund' })
    assert.equal((await introspect(answer.access_token)).active, true)
    await client.tokenRevocation(await basic(world.planner), subject.access_token)
    assert.deepEqual(await introspect(answer.access_token), { active: false })
  },

  async openid_client_raises_what_the_server_answers() {
    const { access_token: token } = await own(world.planner)
    await refused(own(world.planner, { scope: 'nothing-of-the-kind' }), 'invalid_scope')
    await refused(client.tokenRevocation(await basic(world.refunds), token), 'unauthorized_client')
    // A 401 with a challenge has an error class of its own there (RFC 9110 section 15.5.2).
    const wrong = own({ ...world.planner, secret: 'wrong' })
    await assert.rejects(wrong, (raised) => raised instanceof client.WWWAuthenticateChallengeError
      && raised.status === 401 && raised.cause[0].scheme === 'basic')
  },

  async jose_accepts_the_token() {
    const { payload, protectedHeader } = await verify((await own(world.planner, { scope: 'read' })).access_token)
    assert.equal(payload.client_id, world.planner.id)
    assert.equal(payload.scope, 'read')
    assert.equal(protectedHeader.alg, 'ES256')
  },

  async openid_client_gets_and_exchanges_a_token_bound_to_its_dpop_key() {
    const config = await basic(world.planner)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const bound = await client.clientCredentialsGrant(config, { resource: world.resource, scope: 'read write' }, { DPoP })
    assert.equal(bound.token_type, 'dpop')
    const jkt = await DPoP.calculateThumbprint()
    assert.deepEqual((await introspect(bound.access_token)).cnf, { jkt })
    const parameters = { subject_token: bound.access_token, subject_token_type: ACCESS_TOKEN, scope: 'read' }
    const narrowed = await client.genericGrantRequest(config, TOKEN_EXCHANGE, parameters, { DPoP })
    const { payload } = await verify(narrowed.access_token)
    assert.deepEqual([payload.cnf, payload.scope], [{ jkt }, 'read'])
    await refused(client.genericGrantRequest(config, TOKEN_EXCHANGE, parameters), 'invalid_request')
  },

  async jose_refuses_another_audience_issuer_or_type() {
    const { access_token: token } = await own(world.planner)
    for (const [expected, claim] of [
      [{ audience: world.other_resource }, 'aud'], [{ issuer: 'https://other.example' }, 'iss'], [{ typ: 'JWT' }, 'typ'],
    ]) {
      await assert.rejects(verify(token, expected), { name: 'JWTClaimValidationFailed', claim })
    }
  },

  async jose_refuses_another_algorithm_and_a_changed_token() {
    const { access_token: token } = await own(world.planner)
    await assert.rejects(verify(token, { algorithms: ['RS256'] }), { name: 'JOSEAlgNotAllowed' })
    await assert.rejects(verify(changed(token)), { name: 'JWSSignatureVerificationFailed' })
  },
}

let failed = 0
for (const [name, check] of Object.entries(checks)) {
  try {
    await check()
    console.log(`ok ${name}`)
  } catch (error) {
    failed += 1
    const cause = error.cause ? ` (${JSON.stringify(error.cause)})` : ''
    console.log(`FAIL ${name}: ${`${error.name}: ${error.message}${cause}`.replaceAll(/\s+/g, ' ')}`)
  }
}
process.exitCode = failed ? 1 : 0
