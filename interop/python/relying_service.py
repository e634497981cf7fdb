"""A relying service on one page: verifies the token, checks scope and budget, and charges.

`service` answers the function to call with each request's bearer token, whatever the web
framework: it takes a quarter of a dollar before the work is done and answers a status and a
JSON body. It keeps nothing: a crash between the charge and the work costs the agent that call.
Carved lines it refuses, because they need a durable count of the service's own.
"""

import uuid

import jwt
import requests

PRICE = 250_000  # millionths of a dollar


def service(issuer, audience, client, scope):
    metadata = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=5).json()
    keys = jwt.PyJWKClient(metadata["jwks_uri"])

    def serve(token):
        try:
            key = keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, ["ES256", "EdDSA"], issuer=issuer, audience=audience)
        except jwt.PyJWTError:
            return 401, {"error": "invalid_token"}
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            return 401, {"error": "invalid_token"}
        if scope not in claims["scope"].split():
            return 403, {"error": "insufficient_scope"}
        if not any((line["unit"], line["enforce"]) == ("USD", "as") for line in claims.get("budget", [])):
            return 403, {"error": "insufficient_budget"}
        # One key for all tries: it is charged once, whatever became of the answers.
        form, key = {"token": token, "unit": "USD", "amount": PRICE}, {"Idempotency-Key": str(uuid.uuid4())}
        ask = dict(data=form, headers=key, auth=client, timeout=3, allow_redirects=False)
        for _ in range(4):
            try:
                answer = requests.post(f"{metadata['budget_endpoint']}/charges", **ask)
                if answer.status_code in (200, 403):
                    return answer.status_code, answer.json()
            except requests.RequestException:
                continue
        return 503, {"error": "temporarily_unavailable"}

    return serve
