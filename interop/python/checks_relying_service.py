"""The service of `relying_service.py`, called with tokens of this server."""

import json

import requests

import relying_service
from harness import check, equal

CARVED = {"type": "budget", "unit": "USD", "decimals": 6, "amount": 300_000, "enforce": "rs"}


def serve(world, token, audience=None):
    client = (world.service.id, world.service.secret)
    return relying_service.service(world.issuer, audience or world.resource, client, "read")(token)


def token(world, client, **form):
    form = {"grant_type": "client_credentials", "resource": world.resource, **form}
    answer = world.http.post(world.metadata["token_endpoint"], form, auth=(client.id, client.secret), timeout=10)
    answer.raise_for_status()
    return answer.json()["access_token"]


@check
def relying_service_charges_to_the_last_unit(world):
    text = token(world, world.buyer)
    equal([serve(world, text)[1]["remaining"] for _ in range(2)], [350_000, 100_000])
    status, body = serve(world, text)
    equal((status, body["error"], body["remaining"]), (403, "insufficient_budget", 100_000))


@check
def relying_service_refuses(world):
    equal(serve(world, "junk"), (401, {"error": "invalid_token"}))
    equal(serve(world, token(world, world.planner), world.other_resource), (401, {"error": "invalid_token"}))
    equal(serve(world, token(world, world.planner, scope="write")), (403, {"error": "insufficient_scope"}))
    equal(serve(world, token(world, world.planner, scope="read")), (403, {"error": "insufficient_budget"}))
    carved = token(world, world.saver, authorization_details=json.dumps([CARVED]))
    equal(serve(world, carved), (403, {"error": "insufficient_budget"}))


@check
def relying_service_charges_once_though_the_answer_was_lost(world):
    text, post, lost = token(world, world.saver), requests.post, []

    def losing(*args, **kwargs):
        answer = post(*args, **kwargs)
        if not lost:
            lost.append(answer)
            raise requests.ConnectionError("the answer was lost")
        return answer

    requests.post = losing
    try:
        status, body = serve(world, text)
    finally:
        requests.post = post
    equal((status, body["remaining"], lost[0].json()), (200, body["remaining"], body))
