"""Access tokens validated by JWKS with PyJWT and joserfc, as a relying service would."""

import base64
import json

import jwt as pyjwt
from joserfc import errors, jwt
from joserfc.jwk import KeySet

from harness import check, equal, refused

REQUIRED = ["iss", "aud", "exp", "iat", "jti", "sub", "client_id", "scope"]


def token(world):
    answer = world.http.post(
        world.metadata["token_endpoint"],
        auth=(world.planner.id, world.planner.secret),
        data={"grant_type": "client_credentials", "resource": world.resource, "scope": "read"},
        timeout=10,
    )
    answer.raise_for_status()
    return answer.json()["access_token"]


def widened(text):
    """The same token with a scope it was not issued with."""
    head, payload, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["scope"] = "read write refund"
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


def by_pyjwt(world, text, **changes):
    key = pyjwt.PyJWKClient(world.metadata["jwks_uri"]).get_signing_key_from_jwt(text)
    expected = {"algorithms": ["ES256"], "audience": world.resource, "issuer": world.issuer, **changes}
    return pyjwt.decode(text, key, options={"require": REQUIRED}, **expected)


def by_joserfc(world, text, audience=None, algorithms=("ES256",)):
    found = jwt.decode(text, KeySet.import_key_set(world.jwks), algorithms=list(algorithms))
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": world.issuer},
        aud={"essential": True, "value": audience or world.resource},
        exp={"essential": True},
    )
    registry.validate(found.claims)
    return found


@check
def pyjwt_accepts_the_token(world):
    text = token(world)
    claims = by_pyjwt(world, text)
    equal((claims["client_id"], claims["sub"], claims["scope"]), (world.planner.id, f"agent:{world.planner.id}", "read"))
    equal(pyjwt.get_unverified_header(text)["typ"], "at+jwt")


@check
def pyjwt_refuses_another_audience_and_issuer(world):
    text = token(world)
    with refused(pyjwt.InvalidAudienceError):
        by_pyjwt(world, text, audience=world.other_resource)
    with refused(pyjwt.InvalidIssuerError):
        by_pyjwt(world, text, issuer="https://other.example")


@check
def pyjwt_refuses_another_algorithm(world):
    with refused(pyjwt.InvalidAlgorithmError):
        by_pyjwt(world, token(world), algorithms=["RS256", "EdDSA"])


@check
def pyjwt_refuses_a_changed_token(world):
    with refused(pyjwt.InvalidSignatureError):
        by_pyjwt(world, widened(token(world)))


@check
def joserfc_accepts_the_token(world):
    found = by_joserfc(world, token(world))
    equal((found.header["typ"], found.header["alg"]), ("at+jwt", "ES256"))
    equal((found.claims["client_id"], found.claims["scope"]), (world.planner.id, "read"))
    assert found.header["kid"] in [key["kid"] for key in world.jwks["keys"]]


@check
def joserfc_refuses_another_audience(world):
    with refused(errors.InvalidClaimError):
        by_joserfc(world, token(world), audience=world.other_resource)


@check
def joserfc_refuses_another_algorithm(world):
    with refused(errors.UnsupportedAlgorithmError):
        by_joserfc(world, token(world), algorithms=["RS256"])


@check
def joserfc_refuses_a_changed_token(world):
    with refused(errors.BadSignatureError):
        by_joserfc(world, widened(token(world)))
