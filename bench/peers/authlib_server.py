"""Authlib's authorization server, as it is measured beside this one: JWT access tokens (RFC 9068,
ES256) for one client with a secret, and introspection by signature, over granian's WSGI without
a framework between. It keeps nothing and has no audit."""

import hmac
import json
import os
import time
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = os.environ["ISSUER"]
AUDIENCE = "https://acme.bench.example"
KEY = ECKey.import_key({**json.loads(os.environ["KEY"]), "alg": "ES256", "use": "sig", "kid": "bench"})


class Client(ClientMixin):
    client_id = os.environ["CLIENT_ID"]
    secret = os.environ["CLIENT_SECRET"]
    scope = "work"

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope if scope == self.scope else ""

    def check_client_secret(self, client_secret):
        return hmac.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


CLIENT = Client()


class Payload(OAuth2Payload):
    def __init__(self, pairs):
        self._pairs = pairs

    @property
    def data(self):
        return dict(self._pairs)

    @property
    def datalist(self):
        lists = {}
        for name, value in self._pairs:
            lists.setdefault(name, []).append(value)
        return lists


class Request(OAuth2Request):
    def __init__(self, environ):
        uri = ISSUER + environ["PATH_INFO"]
        headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", "")}
        super().__init__(environ["REQUEST_METHOD"], uri, headers=headers)
        pairs = parse_qsl(environ["wsgi.input"].read().decode())
        self.payload = Payload(pairs)
        self._form = dict(pairs)

    @property
    def form(self):
        return self._form

    @property
    def args(self):
        return {}


class Server(AuthorizationServer):
    def query_client(self, client_id):
        return CLIENT if client_id == CLIENT.client_id else None

    def save_token(self, token, request):
        """Nothing is kept."""

    def create_oauth2_request(self, request):
        return Request(request)

    def handle_response(self, status, body, headers):
        return status, body, headers

    def send_signal(self, name, *args, **kwargs):
        """Nobody listens."""


class Generator(JWTBearerTokenGenerator):
    def get_jwks(self):
        return KeySet([KEY])

    def get_audiences(self, client, user, scope):
        return AUDIENCE


class ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]


class Token:
    def __init__(self, claims):
        self.claims = claims

    def is_expired(self):
        return self.claims["exp"] <= time.time()

    def is_revoked(self):
        return False


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token_string, token_type_hint):
        return Token(jwt.decode(token_string, KEY, algorithms=["ES256"]).claims)

    def check_permission(self, token, client, request):
        return True

    def introspect_token(self, token):
        return {"active": True, **token.claims}


server = Server(scopes_supported=["work"])
server.register_token_generator(
    "default", Generator(issuer=ISSUER, alg="ES256", expires_generator=lambda client, grant_type: 3600)
)
server.register_grant(ClientCredentials)
server.register_endpoint(Introspection)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/oauth2/token":
        status, body, headers = server.create_token_response(environ)
    elif path == "/oauth2/introspect":
        status, body, headers = server.create_endpoint_response("introspection", environ)
    else:
        status, body, headers = 200, {}, []
    text = json.dumps(body).encode()
    headers = [(name, value) for name, value in headers if name.lower() not in ("content-type", "content-length")]
    headers += [("content-type", "application/json"), ("content-length", str(len(text)))]
    start_response(f"{status} ANSWER", headers)
    return [text]
