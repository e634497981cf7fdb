// The MCP TypeScript SDK on both sides: `node mcp_sdk.mjs [PARAMETERS.json]`, else standard
// input. Its client gets tokens from the authorization server under test by itself; its server
// half verifies them by JWKS. One line per check; exit code 1 when one failed.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import * as jose from 'jose'

const SCOPE = 'tools:call'
const ADMIN_SCOPE = 'tools:admin'
const world = JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))
const origin = `http://127.0.0.1:${world.port}`
const mcp = `${origin}/mcp`
const metadataUrl = `${origin}/.well-known/oauth-protected-resource/mcp`
const keys = jose.createRemoteJWKSet(new URL(`${world.issuer}/oauth2/jwks`))

// What an MCP server needs: is this a token for me, and what may it do.
const verifyAccessToken = async (token) => {
  try {
    const { payload } = await jose.jwtVerify(token, keys, { issuer: world.issuer, audience: mcp, typ: 'at+jwt' })
    const { client_id: clientId, scope, exp: expiresAt, aud } = payload
    return { token, clientId, scopes: scope.split(' '), expiresAt, resource: new URL(aud), extra: { payload } }
  } catch (error) {
    throw new InvalidTokenError(error.code ?? 'not a token')
  }
}

const toolbox = () => {
  const server = new McpServer({ name: 'interop', version: '1.0.0' })
  const say = ({ authInfo }) => ({ content: [{ type: 'text', text: JSON.stringify(authInfo.extra.payload) }] })
  server.registerTool('who', { description: 'whose token this is' }, say)
  server.registerTool('reset', { description: 'needs one scope more' }, say)
  return server
}

// Each operation needs its scopes, and a challenge names all of them at once.
const guard = (request, response, next) => {
  const requiredScopes = request.body?.params?.name === 'reset' ? [SCOPE, ADMIN_SCOPE] : [SCOPE]
  const verifier = { verifyAccessToken }
  return requireBearerAuth({ verifier, requiredScopes, resourceMetadataUrl: metadataUrl, expectedResource: new URL(mcp) })(
    request, response, next)
}

const serve = () => {
  const app = express()
  app.use(express.json())
  app.get('/.well-known/oauth-protected-resource/mcp', (_, response) =>
    response.json({ resource: mcp, authorization_servers: [world.issuer], bearer_methods_supported: ['header'] }))
  app.post('/mcp', guard, async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
    await toolbox().connect(transport)
    await transport.handleRequest(request, response, request.body)
  })
  app.all('/mcp', (_, response) => response.status(405).end())
  return new Promise((resolve, reject) => {
    const listening = app.listen(world.port, '127.0.0.1', (error) => (error ? reject(error) : resolve(listening)))
  })
}

const bySecret = ({ id, secret }, options = {}) =>
  new ClientCredentialsProvider({ clientId: id, clientSecret: secret, expectedIssuer: world.issuer, ...options })
const byKey = (who, options = {}) =>
  new PrivateKeyJwtProvider({
    clientId: who.id, privateKey: who.private_key_pem, algorithm: who.alg, expectedIssuer: world.issuer, ...options,
  })

const call = async (authProvider, name = 'who') => {
  const client = new Client({ name: 'interop', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(mcp), { authProvider }))
  const answer = await client.callTool({ name, arguments: {} })
  await client.close()
  return JSON.parse(answer.content[0].text)
}

const isCalledBy = async (who, provider) => {
  const claims = await call(provider)
  assert.deepEqual([claims.sub, claims.client_id, claims.aud], [`agent:${who.id}`, who.id, mcp])
  assert.equal(claims.scope, SCOPE)
}

// The message is all the SDK says of the server's error.
const refused = (work, says) => assert.rejects(work, (error) => {
  assert(`${error.errorCode ?? ''} ${error.message}`.includes(says), `${error.name}: ${error.message}`)
  return true
})

const checks = {
  async client_credentials_by_basic() {
    await isCalledBy(world.basic, bySecret(world.basic))
  },
  async client_credentials_by_private_key_jwt() {
    await isCalledBy(world.signer, byKey(world.signer))
  },
  async a_wrong_secret_is_refused() {
    await refused(call(bySecret({ id: world.basic.id, secret: 'x'.repeat(43) })), 'invalid_client')
  },
  async a_client_without_access_to_the_mcp_server_is_refused() {
    await refused(call(bySecret(world.outsider)), 'invalid_target')
  },
  async another_issuer_than_the_configured_one_gets_no_secret() {
    await refused(call(bySecret(world.basic, { expectedIssuer: 'https://as.example' })), 'as.example')
  },
  // In this version the SDK asks for the scope of its configuration whatever a challenge names.
  async a_scope_that_is_configured_is_asked_for() {
    const provider = bySecret(world.basic, { scope: `${SCOPE} ${ADMIN_SCOPE}` })
    assert.deepEqual((await call(provider, 'reset')).scope.split(' ').sort(), [ADMIN_SCOPE, SCOPE])
  },
  async a_step_up_beyond_what_the_client_may_have_ends() {
    await refused(call(byKey(world.signer), 'reset'), 'upscoping')
  },
  async the_mcp_server_refuses_a_token_for_another_resource() {
    const authorization = `Basic ${Buffer.from(`${world.outsider.id}:${world.outsider.secret}`).toString('base64')}`
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource: world.elsewhere })
    const asked = await fetch(`${world.issuer}/oauth2/token`, { method: 'POST', headers: { authorization }, body })
    const { access_token: token } = await asked.json()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(mcp, { method: 'POST', headers, body: '{}' })
    assert.equal(answer.status, 401)
  },
}

const listening = await serve()
let failed = 0
for (const [name, check] of Object.entries(checks)) {
  try {
    await check()
    console.log(`ok ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAIL ${name}: ${error.name}: ${String(error.message).replace(/\s+/g, ' ')}`)
  }
}
listening.closeAllConnections()
listening.close()
process.exitCode = failed ? 1 : 0
