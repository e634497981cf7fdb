// Providers' own libraries for Node through the proxy: `node provider_sdks.mjs
// [PARAMETERS.json]`, else standard input. They are told a base URL and an API key, which is
// an access token. One line per check; exit code 1 when one failed.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

const world = JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))
const ANSWER = 'You said: one two three'
const CHAT = { model: 'stand-in-1', max_tokens: 5, messages: [{ role: 'user', content: 'one two three four' }] }

const post = async (path, { id, secret }, form) => {
  const headers = { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
  const answer = await fetch(world.issuer + path, { method: 'POST', headers, body: new URLSearchParams(form) })
  assert.equal(answer.status, 200)
  return answer
}
const token = async (who) =>
  (await (await post('/oauth2/token', who, { grant_type: 'client_credentials' })).json()).access_token
const openai = (apiKey) => new OpenAI({ baseURL: `${world.issuer}/proxy/${world.openai}/v1`, apiKey })
const anthropic = (apiKey) => new Anthropic({ baseURL: `${world.issuer}/proxy/${world.anthropic}`, apiKey })

const checks = {
  async openai_completes_a_chat() {
    const answer = await openai(await token(world.worker)).chat.completions.create(CHAT)
    assert.equal(answer.choices[0].message.content, ANSWER)
  },
  async openai_streams_a_chat() {
    const stream = await openai(await token(world.worker)).chat.completions.create({ ...CHAT, stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? ''
    assert.equal(text.trim(), ANSWER)
  },
  async openai_makes_a_response() {
    const asked = { model: CHAT.model, input: CHAT.messages[0].content, max_output_tokens: 5 }
    const answer = await openai(await token(world.worker)).responses.create(asked)
    assert.equal(answer.output_text, ANSWER)
  },
  async openai_is_told_what_a_constraint_does_not_allow() {
    const listed = openai(await token(world.worker)).models.list()
    await assert.rejects(listed, (error) => error instanceof OpenAI.PermissionDeniedError && error.status === 403)
  },
  async anthropic_makes_a_message() {
    const answer = await anthropic(await token(world.worker)).messages.create(CHAT)
    assert.equal(answer.content[0].text, ANSWER)
  },
  async anthropic_streams_a_message() {
    const client = anthropic(await token(world.worker))
    assert.equal((await client.messages.stream(CHAT).finalText()).trim(), ANSWER)
    const events = await client.messages.create({ ...CHAT, stream: true })
    let last
    for await (const event of events) last = event
    assert.equal(last.type, 'message_stop')
  },
  async a_budget_that_ends_is_a_refusal_and_no_reason_to_try_again() {
    const key = await token(world.poor)
    await openai(key).chat.completions.create(CHAT)
    const refused = (kind) => (error) => {
      assert(error instanceof kind && error.message.includes('insufficient_budget'), error.message)
      assert.equal(error.status, 403)
      return true
    }
    await assert.rejects(openai(key).chat.completions.create(CHAT), refused(OpenAI.PermissionDeniedError))
    await assert.rejects(anthropic(key).messages.create(CHAT), refused(Anthropic.PermissionDeniedError))
  },
  async a_token_that_is_revoked_is_refused_at_the_next_call() {
    const key = await token(world.leaver)
    await anthropic(key).messages.create(CHAT)
    await post('/oauth2/revoke', world.leaver, { token: key })
    await assert.rejects(openai(key).chat.completions.create(CHAT), OpenAI.AuthenticationError)
    await assert.rejects(anthropic(key).messages.create(CHAT), Anthropic.AuthenticationError)
  },
}

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
process.exitCode = failed ? 1 : 0
