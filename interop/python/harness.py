"""What every file of checks shares: the parameters, the register of checks, and how a
refusal is expected. A check is a function of the parameters that raises when it fails."""

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

# The server under test speaks plain HTTP on loopback; Authlib wants that said aloud.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests  # noqa: E402

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CIBA = "urn:openid:params:grant-type:ciba"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CHECKS = []


def check(function):
    """Registers a check under its name."""
    CHECKS.append(function)
    return function


@dataclass
class Client:
    id: str
    secret: str | None = None
    kid: str | None = None
    alg: str | None = None
    private_key_pem: str | None = None


@dataclass
class World:
    """The parameters, as the test that started this program wrote them."""

    issuer: str
    resource: str
    other_resource: str
    planner: Client
    refunds: Client
    post: Client
    service: Client
    signer: Client
    legacy: Client
    buyer: Client
    saver: Client
    http: requests.Session = field(default_factory=requests.Session)

    @classmethod
    def read(cls, text):
        members = json.loads(text)
        world = cls(**{name: Client(**value) if isinstance(value, dict) else value for name, value in members.items()})
        world.http.trust_env = False
        return world

    @cached_property
    def metadata_url(self):
        return f"{self.issuer}/.well-known/oauth-authorization-server"

    @cached_property
    def metadata(self):
        answer = self.http.get(self.metadata_url, timeout=10)
        answer.raise_for_status()
        return answer.json()

    @cached_property
    def jwks(self):
        answer = self.http.get(self.metadata["jwks_uri"], timeout=10)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def refused(kind, **attributes):
    """The block must raise `kind` with these attributes."""
    try:
        yield
    except kind as error:
        for name, wanted in attributes.items():
            assert getattr(error, name) == wanted, f"{name} is {getattr(error, name)!r}, not {wanted!r}"
        return
    raise AssertionError(f"no {kind.__name__} was raised")


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def main(world_of):
    """Runs all checks with the parameters of a file, else of standard input: 1 when one failed."""
    text = open(sys.argv[1]).read() if len(sys.argv) > 1 else sys.stdin.read()
    world = world_of.read(text)
    failed = 0
    for each in CHECKS:
        try:
            each(world)
        except Exception as error:  # noqa: BLE001 - whatever it is, the check failed
            failed += 1
            why = " ".join(str(error).split())
            print(f"FAIL {each.__name__}: {type(error).__name__}: {why}", flush=True)
        else:
            print(f"ok {each.__name__}", flush=True)
    return 1 if failed else 0
