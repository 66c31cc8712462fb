"""What the gateway lets through, to whom, and what it says when it does not."""

import base64
import hashlib
import hmac
import json
import time
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from services.console.gateway import table as route_table
from tests.console import gateways
from tests.console.gateways import ask, make_token

TABLE = route_table.load()

PLACES = {
    "catalog": """outlets outlets.csv products price-rules offers emergency-outlets price-refusals
                  zones/7/menu zones/7/assignments""",
    "orders": """areas buildings households incidents zones zones/7 zones/7/slots zones/7/menus orders
                 orders/7/events group-orders""",
    "dispatch": """vehicles passes crew loads load-units labels.html plans trips trips/7/events hand-overs
                   portions breaches rescues""",
    "whitelist": "people people.csv checks policies duties",
}

UNAUTHENTICATED = (
    b'{"type":"about:blank","title":"A valid access token is needed","status":401,'
    b'"code":"gateway.unauthenticated"}'
)


def with_limits(table=TABLE, **changed):
    return table.model_copy(update={"limits": table.limits.model_copy(update=changed)})


@pytest.fixture(scope="module")
def upstreams():
    with gateways.serving() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstreams, tmp_path_factory):
    """The gateway as it is in production."""
    with gateways.gateway(tmp_path_factory.mktemp("gateway"), TABLE, upstreams.places) as address:
        yield address


@pytest.fixture(scope="module")
def hasty(upstreams, tmp_path_factory):
    """In development, with little patience, and the whitelist gone."""
    timeouts = {
        "request": route_table.Timeout(whole=0.5, idle=5),
        "stream": route_table.Timeout(whole=None, idle=1),
    }
    table = with_limits(
        TABLE.model_copy(update={"timeouts": timeouts}),
        clock_skew_seconds=1,
        head_seconds=0.5,
        request_seconds=3,
        connection_idle_seconds=1.5,
    )
    places = {**upstreams.places, "whitelist": ("127.0.0.1", gateways.free_port())}
    folder = tmp_path_factory.mktemp("hasty")
    with gateways.gateway(folder, table, places, development=True) as address:
        yield address


@pytest.fixture(scope="module")
def token():
    return make_token()


def assert_problem(answer, status, code):
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.document) == {"type", "title", "status", "code"}
    assert (answer.document["status"], answer.document["code"]) == (status, code)


# Where a request goes


@pytest.mark.parametrize("below", ["", "/0190", "/0190/cancellation?limit=2"])
def test_every_path_reaches_the_service_that_owns_it(gateway, token, below):
    wanted = {(place, service) for service, places in PLACES.items() for place in places.split()}
    reached = {
        (place, ask(gateway, f"/v1/{place}{below}", token=token).document["service"]) for place, _ in wanted
    }
    assert reached == wanted


def test_the_first_row_that_fits_wins(upstreams, tmp_path):
    rows = [
        {"path": "/v1/zones", "service": "orders", "timeout": "request"},
        {"path": "/v1/zones/{id}/menu", "service": "catalog", "timeout": "request"},
    ]
    table = TABLE.model_copy(update={"routes": tuple(route_table.Route(**row) for row in rows)})
    with gateways.gateway(tmp_path, table, upstreams.places) as address:
        assert ask(address, "/v1/zones/7/menu", token=make_token()).document["service"] == "orders"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/ordersx",
        "/v1/orders.csv",
        "/v1/outletsxcsv",
        "/v2/orders",
        "/V1/orders",
        "/docs",
        "/redoc",
        "/metrics",
        "/readyz",
        "/livez",
        "/openapi.json",
        "/v1/openapi/orders.json",
        "/v1/orders/../../metrics",
        "/v1/orders/%2e%2e/%2E%2E/readyz",
        "/v1/orders\\..\\..\\docs",
        "/v1//..//metrics",
    ],
)
def test_what_no_row_names_is_not_found_and_reaches_nobody(gateway, upstreams, token, path):
    before = upstreams.asked.total()
    assert_problem(ask(gateway, path, token=token), 404, "gateway.not_found")
    assert upstreams.asked.total() == before


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders%2f7",
        "/v1/orders/..%2F..%2Fmetrics",
        "/v1/orders/..%5cmetrics",
        "/v1/orders/%00",
        "/v1%2Forders",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(gateway, token, path):
    assert_problem(ask(gateway, path, token=token), 400, "gateway.bad_request")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("//v1///orders//7", "/v1/orders/7"),
        ("/v1/trips/../orders/./7", "/v1/orders/7"),
        ("/v1/%6frders/7", "/v1/orders/7"),
    ],
)
def test_a_service_reads_the_path_that_was_matched(gateway, token, sent, read):
    seen = ask(gateway, sent, token=token).document
    assert (seen["service"], seen["path"]) == ("orders", read)


def test_the_documents_of_the_services_are_open_in_development_only(hasty):
    for service in ("catalog", "orders", "dispatch"):
        seen = ask(hasty, f"/v1/openapi/{service}.json").document
        assert (seen["service"], seen["path"]) == (service, "/openapi.json")
    assert ask(hasty, "/v1/openapi/orders.json/x").status == 401


def test_the_gateway_says_that_it_lives_without_asking_anyone(gateway, upstreams):
    before = upstreams.asked.total()
    answer = ask(gateway, "/healthz")
    assert (answer.status, answer.body, upstreams.asked.total()) == (200, b"ok\n", before)


# Who comes in


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_verified_token_reaches_the_service_as_it_was_sent(gateway, algorithm):
    token = make_token(algorithm=algorithm)
    headers = dict(ask(gateway, "/v1/orders", token=token).document["headers"])
    assert headers["authorization"] == f"Bearer {token}"


def _signed_by_the_public_key():
    public = gateways.PRIVATE["RS256"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "typ": "JWT", "kid": "RS256"}
    parts = [json.dumps(head).encode(), base64.urlsafe_b64decode(make_token().split(".")[1] + "==")]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.new(pem, text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def bad_tokens():
    stranger = ed25519.Ed25519PrivateKey.generate()
    now = int(time.time())
    good = make_token()
    head, claims, signature = good.split(".")
    return {
        "none at all": None,
        "empty": "",
        "no token": "Qm9va3dvcm0",
        "expired": make_token(exp=now - 120),
        "not yet": make_token(nbf=now + 600),
        "without an end": make_token(exp=None),
        "other issuer": make_token(iss="https://elsewhere.example"),
        "no issuer": make_token(iss=None),
        "other audience": make_token(aud="elsewhere"),
        "no audience": make_token(aud=None),
        "a stranger's key": make_token(key=stranger),
        "a stranger's key by address": make_token(
            key=stranger, headers={"jku": "https://elsewhere.example/k"}
        ),
        "a stranger's key within": make_token(key=stranger, headers={"jwk": gateways.public_jwk(stranger)}),
        "an unknown kid": make_token(headers={"kid": "unheard-of"}),
        "no signature": f"{head}.{claims}.",
        "unsigned": gateways.jwt.encode(
            {"iss": gateways.ISSUER, "aud": gateways.AUDIENCE, "exp": now + 300}, None, algorithm="none"
        ),
        "changed": f"{head}.{claims[:-2]}AA.{signature}",
        "HS256 with a secret": make_token(algorithm="HS256", key="0" * 64),
        "HS256 with the public key": _signed_by_the_public_key(),
        "RS512": make_token(algorithm="RS512", key=gateways.PRIVATE["RS256"], headers={"kid": "RS256"}),
        "12 KB of it": make_token(sub="x" * 9000)[:-4],
    }


def test_every_bad_token_meets_the_same_words_and_no_service(gateway, upstreams):
    before = upstreams.asked.total()
    answers = {reason: ask(gateway, "/v1/orders?secret=7", token=bad) for reason, bad in bad_tokens().items()}
    said = {
        reason: (
            answer.status,
            answer.headers["content-type"],
            answer.headers["www-authenticate"],
            answer.body,
        )
        for reason, answer in answers.items()
    }
    wanted = (401, "application/problem+json", "Bearer", UNAUTHENTICATED)
    assert said == dict.fromkeys(answers, wanted)
    assert {frozenset(answer.headers) for answer in answers.values()} == {
        frozenset([
            "content-language", "content-length", "content-type", "date", "server", "vary",
            "www-authenticate", "x-request-id",
        ])
    }  # fmt: skip
    assert upstreams.asked.total() == before


def test_who_speaks_grpc_is_refused_in_its_form_with_the_same_words(gateway, upstreams):
    before = upstreams.asked.total()
    answer = ask(gateway, "/v1/orders", headers=[("Content-Type", "application/grpc")])
    assert (answer.headers["grpc-status"], answer.headers["grpc-message"]) == ("16", UNAUTHENTICATED.decode())
    assert upstreams.asked.total() == before


def test_of_two_tokens_none_counts(gateway, token):
    for other in (token, make_token(iss="https://elsewhere.example")):
        sent = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {other}")]
        for headers in (sent, sent[::-1]):
            assert ask(gateway, "/v1/orders", headers=headers).body == UNAUTHENTICATED


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/unheard-of", "/healthz/", "/healthz/x"])
def test_without_a_token_nobody_learns_which_paths_there_are(gateway, path):
    assert ask(gateway, path).body == UNAUTHENTICATED


@pytest.mark.parametrize("name", ["access_token", "token", "jwt"])
def test_a_token_in_the_address_counts_for_nothing(gateway, token, name):
    assert ask(gateway, f"/v1/orders?{name}={token}").body == UNAUTHENTICATED


def test_a_token_that_was_good_a_moment_ago_still_expires(hasty):
    until = int(time.time()) + 1
    token = make_token(exp=until)
    assert ask(hasty, "/v1/orders", token=token).status == 200
    time.sleep(until + 2.5 - time.time())
    assert ask(hasty, "/v1/orders", token=token).body == UNAUTHENTICATED


def test_no_header_of_a_client_tells_a_service_who_it_is(gateway, token):
    names = [
        "X-Baton-Role",
        "x-baton-household-id",
        "X-User",
        "X-User-Id",
        "X-Auth-Request-Email",
        "X-Authenticated-User",
        "X-Remote-User",
        "X-Forwarded-User",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "Remote-User",
        "True-Client-IP",
        "X-Envoy-Internal",
        "X-Envoy-External-Address",
        "X-Envoy-Original-Path",
        "X-Jwt-Payload",
        "X-Client-Cert",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Request-Id",
        "X-HTTP-Method-Override",
        "X-Method-Override",
    ]
    sent = [(name, "forged") for name in names]
    seen = ask(gateway, "/v1/orders", token=token, headers=[*sent, ("Prefer", "wait=2")]).document["headers"]
    assert ["prefer", "wait=2"] in seen
    assert [(name, value) for name, value in seen if "forged" in value] == []


def test_a_header_that_hides_behind_an_underscore_is_refused(gateway, upstreams, token):
    before = upstreams.asked.total()
    answer = ask(gateway, "/v1/orders", token=token, headers=[("x_baton_role", "commander")])
    assert_problem(answer, 400, "gateway.bad_request")
    assert upstreams.asked.total() == before


def test_each_request_gets_an_id_that_both_sides_are_told(gateway, token):
    answers = [ask(gateway, "/v1/orders", token=token) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len({UUID(given) for given in ids}) == 2
    assert [dict(answer.document["headers"])["x-request-id"] for answer in answers] == ids


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("ZH", "zh-CN"), ("en, zh", "en"), ("<script>", "en")],
)
def test_whose_first_language_is_chinese_is_refused_in_chinese(gateway, token, accepted, language):
    titles = {
        "zh-CN": ("请先登录（需要有效的访问令牌）", "未找到相关内容"),
        "en": ("A valid access token is needed", "Nothing is found here"),
    }
    head = [("Accept-Language", accepted)]
    answers = [ask(gateway, "/v1/orders", headers=head), ask(gateway, "/v1/x", token=token, headers=head)]
    assert [answer.status for answer in answers] == [401, 404]
    assert tuple(answer.document["title"] for answer in answers) == titles[language]
    for answer in answers:
        assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "accept-language")


# How much, how long, how often


@pytest.mark.parametrize(("size", "status"), [(1048576, 200), (1048577, 413), (30_000_000, 413)])
def test_a_body_may_have_one_mebibyte(gateway, token, size, status):
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        whole = client.post(f"{gateway}/v1/orders", content=b"x" * size)
        chunked = client.post(f"{gateway}/v1/orders", content=_pieces(size))
    assert (whole.status_code, chunked.status_code) == (status, status)
    if status == 200:
        assert (whole.json()["size"], chunked.json()["size"]) == (size, size)
        return
    for answer in (whole, chunked):
        assert (answer.json()["code"], answer.headers["content-type"]) == (
            "gateway.too_large",
            "application/problem+json",
        )


def _pieces(size):
    while size > 0:
        yield b"x" * min(size, 65536)
        size -= 65536


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Long", "x" * 17_000)],
        [(f"X-Many-{number}", "x") for number in range(80)],
        [("Authorization", "Bearer " + "x" * 100_000)],
    ],
    ids=["one long", "many", "a token of 100 KB"],
)
def test_a_head_may_have_sixteen_kibibytes_and_64_lines(gateway, headers):
    assert_problem(ask(gateway, "/v1/orders", headers=headers), 431, "gateway.too_large")


def test_a_service_that_is_too_slow_is_given_up_and_not_asked_again(hasty, upstreams, token):
    began = time.monotonic()
    # A client must not be able to ask for more patience.
    wish = [
        ("x-envoy-upstream-rq-timeout-ms", "60000"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "3"),
    ]
    answer = ask(hasty, "/v1/orders/slow?wait=3", token=token, headers=wish)
    assert_problem(answer, 504, "gateway.timeout")
    assert 0.4 < time.monotonic() - began < 2
    assert upstreams.asked["/v1/orders/slow"] == 1


def test_an_event_stream_goes_on_for_as_long_as_it_beats(hasty, token):
    answer = ask(hasty, "/v1/orders/7/events?beats=6&gap=0.3", token=token)
    assert (answer.status, answer.document["path"]) == (200, "/v1/orders/7/events")


def test_an_event_stream_that_has_gone_quiet_is_closed(hasty, token):
    with pytest.raises(gateways.http.client.IncompleteRead):
        ask(hasty, "/v1/trips/7/events?beats=1&gap=4", token=token)


def test_a_service_that_is_away_is_unavailable_and_worth_another_try(hasty, token):
    answer = ask(hasty, "/v1/people", token=token)
    assert_problem(answer, 503, "gateway.unavailable")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500, 503])
def test_what_a_service_refuses_passes_unchanged_and_is_asked_once(gateway, upstreams, token, status):
    answer = ask(gateway, f"/v1/loads/{status}?status={status}", token=token)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert answer.document["service"] == "dispatch"
    assert upstreams.asked[f"/v1/loads/{status}"] == 1


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"GET /v1/orders HTTP/1.1\r\nHost: a\r\nX-Slow: ", 0.5),
        (b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nAuthorization: Bearer %s\r\n\r\n{", 3),
    ],
    ids=["a head", "a body"],
)
def test_who_never_finishes_a_request_is_shown_out(hasty, token, sent, seconds):
    began = time.monotonic()
    received = gateways.send_raw(hasty, sent.replace(b"%s", token.encode()))
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"gateway.timeout"' in received
    assert seconds <= time.monotonic() - began < seconds + 2  # one of them for the client to read the answer


def test_a_connection_that_is_not_used_is_closed(hasty):
    began = time.monotonic()
    received = gateways.send_raw(hasty, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.endswith(b"ok\n")
    # Envoy adds some seconds in which the client may still be sending.
    assert 1 < time.monotonic() - began < 12


@pytest.mark.parametrize(
    "sent",
    [
        b"<script>\r\n\r\n",
        b"GET /v1/orders HTTP/1.1\r\n\r\n",
        b"GET /<script> HTTP/1.0\r\nHost: <script>\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ],
    ids=["no HTTP", "no host", "HTTP/1.0", "two framings", "two lengths"],
)
def test_what_is_no_request_is_refused_without_an_echo(hasty, sent):
    received = gateways.send_raw(hasty, sent)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "The request cannot be read",
        "status": 400,
        "code": "gateway.bad_request",
    }
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"script" not in received


def test_a_wish_for_another_protocol_is_ignored(gateway, token):
    wish = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    assert ask(gateway, "/v1/orders", token=token, headers=wish).document["path"] == "/v1/orders"


def test_who_asks_too_often_is_told_when_to_come_again_and_health_is_not_counted(upstreams, tmp_path):
    table = with_limits(requests_per_second=1, requests_burst=2)
    with gateways.gateway(tmp_path, table, upstreams.places) as address:
        answers = [ask(address, "/v1/orders", token=make_token()) for _ in range(6)]
        health = [ask(address, "/healthz").status for _ in range(6)]
    assert [answer.status for answer in answers[:2]] == [200, 200]
    assert_problem(answers[-1], 429, "gateway.too_many_requests")
    assert answers[-1].headers["retry-after"] == "1"
    assert health == [200] * 6


def test_more_connections_than_agreed_are_not_taken(upstreams, tmp_path):
    table = with_limits(connections=2)
    with gateways.gateway(tmp_path, table, upstreams.places) as address:
        host, port = address.removeprefix("http://").split(":")
        held = [gateways.socket.create_connection((host, int(port))) for _ in range(2)]
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
        with pytest.raises((ConnectionError, gateways.http.client.BadStatusLine)):
            ask(address, "/healthz")
        for connection in held:
            connection.close()
