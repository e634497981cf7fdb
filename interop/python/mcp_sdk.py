"""The MCP Python SDK on both sides: `mcp_sdk.py [PARAMETERS.json]`, else standard input. Its
client gets tokens from the authorization server under test, by itself: it is told the address of
an MCP server and its own credentials. Its server half is that MCP server, and verifies by JWKS.

One line per check, as `run.py` prints them.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

import httpx2
import jwt
import uvicorn
from mcp import Client as McpClient
from mcp.client.auth import OAuthFlowError, OAuthTokenError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.shared.auth import OAuthToken

from harness import Client, check, equal, main

SCOPE = "tools:call"
TYPES = "urn:ietf:params:oauth:token-type:"
DEADLINE = 20


@dataclass
class World:
    """The parameters, as the test that started this program wrote them."""

    issuer: str
    port: int
    elsewhere: str
    credential: str
    basic: Client
    post: Client
    signer: Client
    outsider: Client
    visitor: Client
    idp: str
    courier: Client
    person: Client

    @classmethod
    def read(cls, text):
        members = json.loads(text)
        world = cls(**{name: Client(**value) if isinstance(value, dict) else value for name, value in members.items()})
        serve(world)
        return world

    @property
    def mcp(self):
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def keys(self):
        return f"{self.issuer}/credentials"

    @cached_property
    def jwks(self):
        return jwt.PyJWKClient(f"{self.issuer}/oauth2/jwks")

    def claims(self, token, audience):
        key = self.jwks.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=[key.algorithm_name], audience=audience, issuer=self.issuer)

    def ask(self, client, issuer=None, **form):
        answer = httpx2.post(
            f"{issuer or self.issuer}/oauth2/token",
            auth=(client.id, client.secret),
            data={"grant_type": "client_credentials", **form},
            trust_env=False,
        )
        return answer.json()

    async def fetch_id_jag(self, audience, resource):
        """The first leg, at the other issuer: an exchange, which the SDK leaves to its user."""
        subject = await asyncio.to_thread(self.ask, self.person, self.idp)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": f"{TYPES}id-jag",
            "subject_token": subject["access_token"],
            "subject_token_type": f"{TYPES}access_token",
            "audience": audience,
            "resource": resource,
        }
        answer = await asyncio.to_thread(lambda: self.ask(self.courier, self.idp, **form))
        equal(answer["token_type"], "N_A")
        return answer["access_token"]


class Verifier:
    """What an MCP server needs: is this a token for me, and what may it do."""

    def __init__(self, world):
        self.world = world

    async def verify_token(self, token):
        try:
            claims = await asyncio.to_thread(self.world.claims, token, self.world.mcp)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=claims["scope"].split(),
            expires_at=claims["exp"],
            resource=claims["aud"],
            subject=claims["sub"],
            claims=claims,
        )


def serve(world):
    """The MCP server: one tool, which says whose token it was called with."""
    auth = AuthSettings(
        issuer_url=world.issuer,
        resource_server_url=world.mcp,
        required_scopes=[SCOPE],
        validate_token_resource=True,
    )
    server = MCPServer("interop", auth=auth, token_verifier=Verifier(world))

    @server.tool()
    def who() -> dict:
        claims = get_access_token().claims
        return {name: claims.get(name) for name in ("sub", "aud", "scope", "client_id", "act")}

    config = uvicorn.Config(server.streamable_http_app(), host="127.0.0.1", port=world.port, log_level="warning")
    threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", world.port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the MCP server did not start")


class Storage:
    """Tokens in memory."""

    def __init__(self, tokens=None):
        self.tokens, self.info = tokens, None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.info

    async def set_client_info(self, info):
        self.info = info


@asynccontextmanager
async def connected(world, provider):
    async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=DEADLINE) as http:
        async with McpClient(streamable_http_client(world.mcp, http_client=http)) as client:
            yield client


def call_tool(world, provider):
    """Connects, lists the tools and calls the one there is."""

    async def run():
        async with connected(world, provider) as client:
            equal([tool.name for tool in (await client.list_tools()).tools], ["who"])
            return json.loads((await client.call_tool("who", {})).content[0].text)

    return asyncio.run(asyncio.wait_for(run(), DEADLINE))


def by_secret(world, client, method="client_secret_basic", server=None, storage=None):
    return ClientCredentialsOAuthProvider(
        server_url=server or world.mcp,
        storage=storage or Storage(),
        client_id=client.id,
        client_secret=client.secret,
        token_endpoint_auth_method=method,
        issuer=world.issuer,
    )


def by_key(world, client, **claims):
    signed = SignedJWTParameters(
        issuer=client.id,
        subject=client.id,
        signing_key=client.private_key_pem,
        signing_algorithm=client.alg,
        additional_claims=claims or None,
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=world.mcp,
        storage=Storage(),
        client_id=client.id,
        assertion_provider=signed.create_assertion_provider(),
        issuer=world.issuer,
    )


def by_identity_assertion(world, fetch, method="client_secret_post"):
    return IdentityAssertionOAuthProvider(
        server_url=world.mcp,
        storage=Storage(),
        client_id=world.visitor.id,
        client_secret=world.visitor.secret,
        issuer=world.issuer,
        assertion_provider=fetch,
        token_endpoint_auth_method=method,
    )


def is_called_by(world, client, provider):
    said = call_tool(world, provider)
    equal((said["sub"], said["client_id"], said["aud"]), (f"agent:{client.id}", client.id, world.mcp))
    equal(said["scope"], SCOPE)


def leaves(errors):
    """The single errors in a tree of groups."""
    for error in errors.exceptions if isinstance(errors, BaseExceptionGroup) else [errors]:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def fails(work, kind, says):
    try:
        work()
    except BaseException as errors:  # noqa: BLE001 - a group may be a BaseExceptionGroup
        found = list(leaves(errors))
        assert any(isinstance(error, kind) and says in str(error) for error in found), found
        return
    raise AssertionError(f"no {kind.__name__} was raised")


@check
def client_credentials_by_basic(world):
    is_called_by(world, world.basic, by_secret(world, world.basic))


@check
def client_credentials_by_post(world):
    is_called_by(world, world.post, by_secret(world, world.post, "client_secret_post"))


@check
def client_credentials_by_private_key_jwt(world):
    is_called_by(world, world.signer, by_key(world, world.signer))


@check
def an_assertion_for_another_issuer_is_refused(world):
    provider = by_key(world, world.signer, aud="https://as.example")
    fails(lambda: call_tool(world, provider), OAuthTokenError, "invalid_client")


@check
def a_wrong_secret_is_refused(world):
    wrong = Client(id=world.basic.id, secret="x" * 43)
    fails(lambda: call_tool(world, by_secret(world, wrong)), OAuthTokenError, "invalid_client")


@check
def a_client_without_access_to_the_mcp_server_is_refused(world):
    fails(lambda: call_tool(world, by_secret(world, world.outsider)), OAuthTokenError, "invalid_target")


@check
def another_issuer_than_the_configured_one_gets_no_secret(world):
    provider = by_secret(world, world.basic)
    provider._issuer = "https://as.example"
    fails(lambda: call_tool(world, provider), OAuthFlowError, "issuer")


@check
def the_mcp_server_refuses_a_token_for_another_resource(world):
    token = world.ask(world.outsider, resource=world.elsewhere)["access_token"]
    answer = httpx2.post(world.mcp, headers={"authorization": f"Bearer {token}"}, json={}, trust_env=False)
    equal(answer.status_code, 401)
    assert f'resource_metadata="http://127.0.0.1:{world.port}/.well-known/oauth-protected-resource/mcp"' in (
        answer.headers["www-authenticate"]
    )


@check
def a_resource_is_named_in_any_case_of_scheme_and_host(world):
    scheme, rest = world.elsewhere.split("://")
    host, path = rest.split("/", 1)
    token = world.ask(world.outsider, resource=f"{scheme.upper()}://{host.upper()}/{path}")["access_token"]
    equal(world.claims(token, world.elsewhere)["aud"], world.elsewhere)
    equal(world.ask(world.outsider, resource=f"{scheme}://{host}/{path.upper()}")["error"], "invalid_target")


def release(world, storage):
    """A credential, from the key-release service, which the SDK finds its way into."""
    provider = by_secret(world, world.basic, server=world.keys, storage=storage)

    async def run():
        async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=DEADLINE) as http:
            return await http.post(f"{world.keys}/{world.credential}/release", json={"mode": "plaintext"})

    return asyncio.run(run())


@check
def the_key_release_service_is_found_by_its_challenge(world):
    storage = Storage()
    answer = release(world, storage)
    equal((answer.status_code, answer.json()["mode"]), (200, "plaintext"))
    equal(world.claims(storage.tokens.access_token, world.keys)["aud"], world.keys)


@check
def a_challenge_names_all_the_scopes_that_a_step_up_needs(world):
    little = OAuthToken(**world.ask(world.basic, resource=world.keys, scope="credential:use"))
    equal(little.scope, "credential:use")
    storage = Storage(little)
    equal(release(world, storage).status_code, 200)
    equal(sorted(storage.tokens.scope.split()), ["credential:release", "credential:use"])


@check
def an_identity_assertion_of_another_issuer_gets_in(world):
    said = call_tool(world, by_identity_assertion(world, world.fetch_id_jag))
    equal((said["client_id"], said["aud"], said["scope"]), (world.visitor.id, world.mcp, SCOPE))
    equal(said["act"], {"sub": f"agent:{world.visitor.id}"})
    assert said["sub"].endswith(f":agent:{world.person.id}") and said["sub"].startswith("user:"), said


@check
def an_identity_assertion_gets_in_once(world):
    kept = asyncio.run(world.fetch_id_jag(world.issuer, world.mcp))

    async def again(audience, resource):
        return kept

    call_tool(world, by_identity_assertion(world, again))
    fails(lambda: call_tool(world, by_identity_assertion(world, again)), OAuthTokenError, "invalid_grant")


@check
def an_identity_assertion_for_another_server_is_refused(world):
    async def elsewhere(audience, resource):
        return await world.fetch_id_jag(world.issuer, world.elsewhere)

    fails(lambda: call_tool(world, by_identity_assertion(world, elsewhere)), OAuthTokenError, "invalid_target")


if __name__ == "__main__":
    sys.exit(main(World))
