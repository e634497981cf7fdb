"""Authlib: as a client (RFC 6749, 7009, 7523, 7662), as a reader of the metadata (RFC 8414)
and as a relying service (RFC 9068)."""

import time

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import ECKey, KeySet

from harness import ACCESS_TOKEN, CIBA, JWT_BEARER, TOKEN_EXCHANGE, check, equal, refused


def session(world, client, method="client_secret_basic", secret=None):
    made = OAuth2Session(
        client.id,
        secret or client.secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        token_endpoint=world.metadata["token_endpoint"],
    )
    made.trust_env = False
    return made


def token(world, client, method="client_secret_basic", **form):
    with session(world, client, method) as oauth:
        return oauth.fetch_token(grant_type="client_credentials", resource=world.resource, **form)


def signing_session(world, client, audience, claims):
    """One per request: Authlib keeps the `jti` in the claims it is given."""
    key = ECKey.import_key(client.private_key_pem, {"kid": client.kid})
    made = session(world, client, "private_key_jwt", key)
    made.register_client_auth_method(PrivateKeyJWT(audience, claims=claims, alg=client.alg))
    return made


def soon():
    """Authlib's assertions live for an hour unless told otherwise; ours may for 300 s."""
    return {"exp": int(time.time()) + 60}


class Service(JWTBearerTokenValidator):
    """A relying service on Authlib's own validator."""

    def __init__(self, world, resource):
        super().__init__(world.issuer, resource)
        self.jwks = world.jwks

    def get_jwks(self):
        return KeySet.import_key_set(self.jwks)

    def admit(self, text, scopes):
        claims = self.authenticate_token(text)
        self.validate_token(claims, scopes, None)
        return claims


@check
def authlib_accepts_the_metadata(world):
    equal(get_well_known_url(world.issuer, external=True), world.metadata_url)
    metadata = AuthorizationServerMetadata(world.metadata)
    metadata.validate()
    equal(metadata["issuer"], world.issuer)
    equal(metadata["grant_types_supported"], ["client_credentials", TOKEN_EXCHANGE, CIBA, JWT_BEARER])


@check
def authlib_client_secret_basic(world):
    answer = token(world, world.planner, scope="read")
    equal((answer["token_type"], answer["scope"]), ("Bearer", "read"))
    assert 0 < answer["expires_in"] <= 300 and not answer.is_expired()


@check
def authlib_client_secret_post(world):
    equal(token(world, world.post, "client_secret_post")["scope"], "read")


@check
def authlib_private_key_jwt(world):
    with signing_session(world, world.signer, world.issuer, soon()) as oauth:
        answer = oauth.fetch_token(grant_type="client_credentials", resource=world.resource)
    equal(answer["scope"], "read")


@check
def authlib_private_key_jwt_for_the_token_endpoint(world):
    """What Authlib sends when no audience is given, for a client that was allowed to."""
    with signing_session(world, world.legacy, None, soon()) as oauth:
        equal(oauth.fetch_token(grant_type="client_credentials", resource=world.resource)["scope"], "read")
    with signing_session(world, world.signer, None, soon()) as oauth, refused(OAuthError, error="invalid_client"):
        oauth.fetch_token(grant_type="client_credentials", resource=world.resource)


@check
def authlib_assertion_of_an_hour_is_refused(world):
    why = "a client assertion needs exp, at most five minutes ahead, and must be valid now"
    with signing_session(world, world.signer, world.issuer, None) as oauth:
        with refused(OAuthError, error="invalid_client", description=why):
            oauth.fetch_token(grant_type="client_credentials", resource=world.resource)


@check
def authlib_assertion_is_used_once(world):
    with signing_session(world, world.signer, world.issuer, {**soon(), "jti": "authlib-once"}) as oauth:
        oauth.fetch_token(grant_type="client_credentials", resource=world.resource)
        with refused(OAuthError, error="invalid_client", description="the client assertion was used before"):
            oauth.fetch_token(grant_type="client_credentials", resource=world.resource)


@check
def authlib_exchanges(world):
    subject, actor = token(world, world.planner), token(world, world.refunds)
    with session(world, world.refunds) as oauth:
        answer = oauth.fetch_token(
            grant_type=TOKEN_EXCHANGE,
            subject_token=subject["access_token"],
            subject_token_type=ACCESS_TOKEN,
            actor_token=actor["access_token"],
            actor_token_type=ACCESS_TOKEN,
            scope="refund",
        )
    equal((answer["issued_token_type"], answer["scope"]), (ACCESS_TOKEN, "refund"))
    equal(Service(world, world.resource).admit(answer["access_token"], ["refund"])["act"], {"sub": f"agent:{world.refunds.id}"})


@check
def authlib_introspects(world):
    alive = token(world, world.planner, scope="read")["access_token"]
    with session(world, world.service) as oauth:
        claims = oauth.introspect_token(world.metadata["introspection_endpoint"], alive).json()
        equal((claims["active"], claims["scope"], claims["aud"]), (True, "read", world.resource))
        equal((claims["client_id"], claims["sub"]), (world.planner.id, f"agent:{world.planner.id}"))
        equal(oauth.introspect_token(world.metadata["introspection_endpoint"], "nonsense").json(), {"active": False})


@check
def authlib_revokes(world):
    dead = token(world, world.planner)["access_token"]
    with session(world, world.planner) as oauth:
        answer = oauth.revoke_token(world.metadata["revocation_endpoint"], dead, token_type_hint="access_token")
        equal(answer.status_code, requests.codes.ok)
    with session(world, world.service) as oauth:
        equal(oauth.introspect_token(world.metadata["introspection_endpoint"], dead).json(), {"active": False})


@check
def authlib_raises_what_the_server_answers(world):
    with refused(OAuthError, error="invalid_scope"):
        token(world, world.planner, scope="nothing-of-the-kind")
    with session(world, world.planner, secret="wrong") as oauth, refused(OAuthError, error="invalid_client"):
        oauth.fetch_token(grant_type="client_credentials")
    with session(world, world.planner) as oauth, refused(OAuthError, error="unsupported_grant_type"):
        oauth.fetch_token(grant_type="password", username="a", password="b")


@check
def authlib_relying_service_admits_and_refuses(world):
    text = token(world, world.planner, scope="read")["access_token"]
    equal(Service(world, world.resource).admit(text, ["read"])["client_id"], world.planner.id)
    with refused(InsufficientScopeError):
        Service(world, world.resource).admit(text, ["refund"])
    with refused(InvalidTokenError):
        Service(world, world.other_resource).admit(text, ["read"])
