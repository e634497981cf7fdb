"""Providers' own libraries through the proxy: `provider_sdks.py [PARAMETERS.json]`, else
standard input. They are told a base URL and an API key and nothing else: the key is an
access token, and what the provider's real key is, this program never learns.

One line per check, as `run.py` prints them. Every call reads four words and has five written.
"""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import anthropic
import openai
import requests

from harness import Client, check, equal, main, refused

WORDS = "one two three four"
ANSWER = "You said: one two three"
MODEL = "stand-in-1"
CHAT = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": WORDS}]}


@dataclass
class World:
    """The parameters, as the test that started this program wrote them."""

    issuer: str
    openai: str
    anthropic: str
    worker: Client
    poor: Client
    leaver: Client

    @classmethod
    def read(cls, text):
        members = json.loads(text)
        return cls(**{name: Client(**value) if isinstance(value, dict) else value for name, value in members.items()})

    def post(self, path, client, **form):
        session = requests.Session()
        session.trust_env = False
        answer = session.post(f"{self.issuer}{path}", auth=(client.id, client.secret), data=form, timeout=10)
        answer.raise_for_status()
        return answer

    def token(self, client):
        return self.post("/oauth2/token", client, grant_type="client_credentials").json()["access_token"]

    def by_openai(self, token, kind=openai.OpenAI):
        return kind(base_url=f"{self.issuer}/proxy/{self.openai}/v1", api_key=token)

    def by_anthropic(self, token, kind=anthropic.Anthropic, **places):
        places = places or {"api_key": token}
        return kind(base_url=f"{self.issuer}/proxy/{self.anthropic}", **places)


@check
def openai_completes_a_chat(world):
    answer = world.by_openai(world.token(world.worker)).chat.completions.create(**CHAT)
    equal(answer.choices[0].message.content, ANSWER)
    equal((answer.usage.prompt_tokens, answer.usage.completion_tokens), (4, 5))


@check
def openai_streams_a_chat(world):
    stream = world.by_openai(world.token(world.worker)).chat.completions.create(stream=True, **CHAT)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    equal(text.strip(), ANSWER)
    assert len(chunks) > 5, "word by word"


@check
def openai_streams_a_chat_with_its_usage(world):
    client = world.by_openai(world.token(world.worker))
    stream = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **CHAT)
    last = list(stream)[-1]
    equal((last.usage.prompt_tokens, last.usage.completion_tokens), (4, 5))


@check
def openai_makes_a_response(world):
    client = world.by_openai(world.token(world.worker))
    answer = client.responses.create(model=MODEL, input=WORDS, max_output_tokens=5)
    equal(answer.output_text, ANSWER)
    equal((answer.usage.input_tokens, answer.usage.output_tokens), (4, 5))


@check
def openai_streams_a_response(world):
    client = world.by_openai(world.token(world.worker))
    events = list(client.responses.create(model=MODEL, input=WORDS, max_output_tokens=5, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(text.strip(), ANSWER)
    equal(events[-1].response.usage.output_tokens, 5)


@check
def openai_works_by_its_environment_alone(world):
    program = f"""
from openai import OpenAI
print(OpenAI().chat.completions.create(**{CHAT!r}).choices[0].message.content)
"""
    base = f"{world.issuer}/proxy/{world.openai}/v1"
    env = {**os.environ, "OPENAI_BASE_URL": base, "OPENAI_API_KEY": world.token(world.worker)}
    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    equal(ran.stdout.strip(), ANSWER)


@check
def openai_works_asynchronously(world):
    async def complete(client):
        answers = await asyncio.gather(*(client.chat.completions.create(**CHAT) for _ in range(3)))
        return [answer.choices[0].message.content for answer in answers]

    client = world.by_openai(world.token(world.worker), openai.AsyncOpenAI)
    equal(asyncio.run(complete(client)), [ANSWER] * 3)


@check
def openai_shows_what_is_left_of_the_budget(world):
    client = world.by_openai(world.token(world.worker))
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    remaining, held = raw.headers["agent-budget"].split(", ")
    assert remaining.startswith("remaining=") and held == "held=40", raw.headers["agent-budget"]
    equal(raw.parse().choices[0].message.content, ANSWER)


@check
def openai_is_told_what_a_constraint_does_not_allow(world):
    with refused(openai.PermissionDeniedError, status_code=403):
        world.by_openai(world.token(world.worker)).models.list()
    try:
        world.by_openai(world.token(world.worker)).moderations.create(input=WORDS)
    except openai.PermissionDeniedError as error:
        told = error.response.json()
        equal((told["error"], told["constraint"], told["reason"]), ("constraint_violated", "paths", "not_listed"))
        return
    raise AssertionError("a path that is not listed")


@check
def anthropic_makes_a_message(world):
    answer = world.by_anthropic(world.token(world.worker)).messages.create(**CHAT)
    equal(answer.content[0].text, ANSWER)
    equal((answer.usage.input_tokens, answer.usage.output_tokens), (4, 5))


@check
def anthropic_streams_a_message(world):
    with world.by_anthropic(world.token(world.worker)).messages.stream(**CHAT) as stream:
        equal("".join(stream.text_stream).strip(), ANSWER)
        equal(stream.get_final_message().usage.output_tokens, 5)


@check
def anthropic_works_with_a_bearer_token(world):
    client = world.by_anthropic(None, auth_token=world.token(world.worker))
    equal(client.messages.create(**CHAT).content[0].text, ANSWER)


@check
def anthropic_works_asynchronously(world):
    client = world.by_anthropic(world.token(world.worker), anthropic.AsyncAnthropic)
    equal(asyncio.run(client.messages.create(**CHAT)).content[0].text, ANSWER)


@check
def anthropic_lists_models(world):
    models = world.by_anthropic(world.token(world.worker)).models.list()
    equal([model.id for model in models], [MODEL])


@check
def a_budget_that_ends_is_a_refusal_and_no_reason_to_try_again(world):
    """45 of it: one call of 14 leaves less than the 40 that the next would hold."""
    client = world.by_openai(world.token(world.poor))
    equal(client.chat.completions.create(**CHAT).choices[0].message.content, ANSWER)
    try:
        client.chat.completions.create(**CHAT)
    except openai.PermissionDeniedError as error:
        told = error.response.json()
        equal((error.status_code, told["error"], told["required"]), (403, "insufficient_budget", 40))
        equal(told["remaining"], 31)
        equal(error.body, "insufficient_budget")
    else:
        raise AssertionError("more than there is")
    with refused(anthropic.PermissionDeniedError, status_code=403):
        world.by_anthropic(world.token(world.poor)).messages.create(**CHAT)


@check
def a_token_that_is_revoked_is_refused_at_the_next_call(world):
    token = world.token(world.leaver)
    by_openai, by_anthropic = world.by_openai(token), world.by_anthropic(token)
    equal(by_openai.chat.completions.create(**CHAT).choices[0].message.content, ANSWER)
    world.post("/oauth2/revoke", world.leaver, token=token)
    with refused(openai.AuthenticationError, status_code=401):
        by_openai.chat.completions.create(**CHAT)
    with refused(anthropic.AuthenticationError, status_code=401):
        by_anthropic.messages.create(**CHAT)


@check
def a_key_of_the_provider_is_no_token(world):
    with refused(openai.AuthenticationError, status_code=401):
        world.by_openai("sk-proj-0123456789abcdef").chat.completions.create(**CHAT)
    with refused(anthropic.AuthenticationError, status_code=401):
        world.by_anthropic("sk-ant-0123456789abcdef").messages.create(**CHAT)


if __name__ == "__main__":
    sys.exit(main(World))
