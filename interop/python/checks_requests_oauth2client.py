"""requests-oauth2client: every client authentication, token exchange by its own call, and
the exception classes it has for each error."""

from jwskate import Jwk
from requests_oauth2client import (
    ClientSecretBasic,
    ClientSecretPost,
    OAuth2Client,
    PrivateKeyJwt,
    oauth2_discovery_document_url,
)
from requests_oauth2client.exceptions import InvalidClient, InvalidRequest, InvalidScope, InvalidTarget, UnauthorizedClient

from harness import ACCESS_TOKEN, check, equal, refused


def oauth(world, auth):
    # `testing` lets plain HTTP on loopback pass and nothing else.
    return OAuth2Client.from_discovery_endpoint(
        oauth2_discovery_document_url(world.issuer), issuer=world.issuer, auth=auth, session=world.http, testing=True
    )


def basic(world, client):
    return oauth(world, ClientSecretBasic(client.id, client.secret))


def signed(client, audience):
    key = Jwk.from_pem(client.private_key_pem, kid=client.kid, alg=client.alg)
    return PrivateKeyJwt(client.id, key, aud=audience)


def exchange(world, **form):
    subject = basic(world, world.planner).client_credentials(resource=world.resource)
    actor = basic(world, world.refunds).client_credentials(resource=world.resource)
    client = basic(world, world.refunds)
    return subject, client.token_exchange(subject_token=subject, actor_token=actor, actor_token_type=ACCESS_TOKEN, **form)


@check
def requests_oauth2client_discovers(world):
    client = basic(world, world.planner)
    equal((client.issuer, client.token_endpoint), (world.issuer, f"{world.issuer}/oauth2/token"))
    equal(client.introspection_endpoint, f"{world.issuer}/oauth2/introspect")
    equal(client.revocation_endpoint, f"{world.issuer}/oauth2/revoke")
    equal([key.alg for key in client.authorization_server_jwks.jwks], ["ES256"])


@check
def requests_oauth2client_client_secret_basic(world):
    answer = basic(world, world.planner).client_credentials(scope=["read", "write"], resource=world.resource)
    equal((answer.token_type, sorted(answer.scope.split())), ("Bearer", ["read", "write"]))
    assert 0 < answer.expires_in <= 300 and not answer.is_expired()


@check
def requests_oauth2client_client_secret_post(world):
    client = oauth(world, ClientSecretPost(world.post.id, world.post.secret))
    equal(client.client_credentials(resource=world.resource).scope, "read")


@check
def requests_oauth2client_private_key_jwt(world):
    client = oauth(world, signed(world.signer, world.issuer))
    for _ in range(2):
        equal(client.client_credentials(resource=world.resource).scope, "read")


@check
def requests_oauth2client_private_key_jwt_for_the_token_endpoint(world):
    """What the library sends by default, for a client that was allowed to."""
    equal(oauth(world, signed(world.legacy, None)).client_credentials(resource=world.resource).scope, "read")
    with refused(InvalidClient, error="invalid_client"):
        oauth(world, signed(world.signer, None)).client_credentials(resource=world.resource)


@check
def requests_oauth2client_exchanges(world):
    subject, answer = exchange(world, scope="refund", resource=world.resource, requested_token_type=ACCESS_TOKEN)
    equal((answer.issued_token_type, answer.token_type, answer.scope), (ACCESS_TOKEN, "Bearer", "refund"))
    assert answer.expires_in <= subject.expires_in and answer.refresh_token is None
    claims = basic(world, world.service).introspect_token(answer)
    equal((claims["sub"], claims["client_id"]), (f"agent:{world.planner.id}", world.refunds.id))
    equal(claims["act"], {"sub": f"agent:{world.refunds.id}"})


@check
def requests_oauth2client_exchange_to_where_no_rule_leads(world):
    with refused(InvalidTarget, error="invalid_target"):
        exchange(world, resource=world.other_resource)


@check
def requests_oauth2client_exchange_for_more_scope(world):
    with refused(InvalidScope, error="invalid_scope"):
        exchange(world, scope="write", resource=world.resource)


@check
def requests_oauth2client_exchange_of_nonsense(world):
    with refused(InvalidRequest, error="invalid_request"):
        basic(world, world.refunds).token_exchange(subject_token="nonsense", subject_token_type=ACCESS_TOKEN)


@check
def requests_oauth2client_introspects(world):
    answer = basic(world, world.planner).client_credentials(scope="read", resource=world.resource)
    claims = basic(world, world.service).introspect_token(answer, token_type_hint="access_token")
    equal((claims["active"], claims["iss"], claims["aud"], claims["scope"]), (True, world.issuer, world.resource, "read"))
    equal(basic(world, world.refunds).introspect_token(answer), {"active": False})


@check
def requests_oauth2client_revoking_a_parent_revokes_its_child(world):
    parent, child = exchange(world, scope="refund", resource=world.resource)
    service = basic(world, world.service)
    assert service.introspect_token(child)["active"]
    assert basic(world, world.planner).revoke_access_token(parent) is True
    equal(service.introspect_token(child), {"active": False})


@check
def requests_oauth2client_revokes_nothing_of_others(world):
    answer = basic(world, world.planner).client_credentials(resource=world.resource)
    with refused(UnauthorizedClient, error="unauthorized_client"):
        basic(world, world.refunds).revoke_access_token(answer)


@check
def requests_oauth2client_raises_what_the_server_answers(world):
    wrong = oauth(world, ClientSecretBasic(world.planner.id, "wrong"))
    with refused(InvalidClient, error="invalid_client", description="client authentication failed"):
        wrong.client_credentials()
    with refused(InvalidClient, error="invalid_client"):
        wrong.introspect_token("nonsense")
    with refused(InvalidTarget, error="invalid_target"):
        basic(world, world.planner).client_credentials(resource="https://nobody.example")


@check
def requests_oauth2client_gets_a_token_bound_to_its_dpop_key(world):
    token = basic(world, world.planner).client_credentials(scope="read", resource=world.resource, dpop=True)
    equal(token.token_type, "DPoP")
    claims = basic(world, world.service).introspect_token(token)
    equal((claims["token_type"], claims["cnf"]), ("DPoP", {"jkt": token.dpop_key.dpop_jkt}))


@check
def requests_oauth2client_exchanges_a_bound_token_with_its_key_alone(world):
    client = basic(world, world.planner)
    token = client.client_credentials(scope=["read", "write"], resource=world.resource, dpop=True)
    proved = {"dpop": True, "dpop_key": token.dpop_key}
    narrowed = client.token_exchange(subject_token=token, subject_token_type=ACCESS_TOKEN, scope="read", **proved)
    equal((narrowed.token_type, narrowed.scope), ("DPoP", "read"))
    claims = basic(world, world.service).introspect_token(narrowed)
    equal(claims["cnf"], {"jkt": token.dpop_key.dpop_jkt})
    for other in [{}, {"dpop": True}]:
        with refused(InvalidRequest, error="invalid_request"):
            client.token_exchange(subject_token=token.access_token, subject_token_type=ACCESS_TOKEN, scope="read", **other)
