"""Every refusal and every failure has one form, and says nothing of what was sent."""

import json
import time

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs

from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.kit import lamps as lamps_face
from tests.kit.lamps import Running
from tests.serving import headers

CALLER = headers("steward", subject="s")
JSON = {**CALLER, "content-type": "application/json"}
PROBLEM = "application/problem+json"


async def count(sessions: Sessions) -> int:
    async with sessions() as session:
        return int((await session.execute(text("SELECT count(*) FROM lamps"))).scalar_one())


def read_problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    problem = answer.json()
    assert (
        {"type", "title", "status", "code"} <= set(problem) <= {"type", "title", "status", "code", "errors"}
    )
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rejected", 422),
        ("unreadable", 400),
        ("forbidden", 403),
        ("not_found", 404),
        ("conflict", 409),
        ("stale", 412),
        ("unavailable", 503),
    ],
)
async def test_a_refusal_is_a_problem_with_its_code_and_its_facts(lamps: Running, kind, status) -> None:
    answer = await lamps.client.get(f"/v1/lamps/refusals/{kind}", headers=CALLER)
    problem = read_problem(answer, status, "lamps.dark")
    assert problem["title"] == "It is dark"
    assert problem["errors"] == [
        {
            "pointer": "/words",
            "code": "lamps.dark",
            "params": {"asked": 3, "available": 1, "until": "2022-01-01T00:00:00+00:00"},
            "detail": "It is dark: asked for 3, there are 1 until 2022-01-01 08:00 UTC+8",
        }
    ]
    assert answer.headers["retry-after"] == "7"


async def test_what_is_not_there_and_what_cannot_be_done_here(lamps: Running) -> None:
    client = lamps.client
    read_problem(await client.get("/v1/nothing", headers=CALLER), 404, "kit.not_found")
    read_problem(await client.get(f"/v1/lamps/{new_id()}", headers=CALLER), 404, "lamps.lamp_unknown")
    # A path that cannot be an id names nothing that exists.
    read_problem(await client.get("/v1/lamps/CANARY", headers=CALLER), 404, "kit.not_found")
    answer = await client.delete("/v1/lamps", headers=CALLER)
    read_problem(answer, 405, "kit.method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_body_too_large_is_refused_with_and_without_its_length(
    lamps_url: str, tmp_path, lamp_sessions: Sessions
) -> None:
    async def chunks():
        for _ in range(11):
            yield b" " * 100

    async with lamps_face.running(tmp_path, lamps_url, body_bytes=1000) as lamps:
        for content in (b" " * 1001, chunks()):
            answer = await lamps.client.post("/v1/lamps/many", headers=JSON, content=content)
            read_problem(answer, 413, "kit.too_large")
    assert await count(lamp_sessions) == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
async def test_nothing_but_json_is_read(lamps: Running, lamp_sessions: Sessions, kind) -> None:
    head = {**CALLER, "content-type": kind} if kind else CALLER
    answer = await lamps.client.post("/v1/lamps/many", headers=head, content=b'{"words": "on"}')
    read_problem(answer, 415, "kit.media_type")
    assert await count(lamp_sessions) == 0


UNREADABLE = {
    "no JSON": b"{words}",
    "an end in the middle": b'{"words": "CANARY"',
    "two documents": b'{"words": "CANARY"} {}',
    "NaN": b'{"words": "CANARY", "warmth": NaN}',
    "minus infinity": b'{"words": "CANARY", "warmth": -Infinity}',
    "infinity in figures": b'{"words": "CANARY", "warmth": 1e999}',
    "a NUL": b'{"words": "CANARY\\u0000"}',
    "a NUL in a key": b'{"words": "CANARY", "\\u0000": 1}',
    "a NUL deep down": b'{"words": "CANARY", "spares": ' + b"[" * 400 + b'"\\u0000"' + b"]" * 400 + b"}",
    "a bare control character": b'{"words": "CANARY\x00"}',
    "half a character": b'{"words": "CANARY\\ud800"}',
    "half a character in bytes": b'{"words": "CANARY\xed\xa0\x80"}',
    "half a character as a key": b'{"words": "CANARY", "\\udfff": 1}',
    "another encoding": '{"words": "CANARY\\u0000"}'.encode("utf-16"),
    "no encoding": b'{"words": "CANARY\xff"}',
    "100,000 nested arrays": b'{"words": "CANARY", "spares": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of a million digits": b'{"words": "CANARY", "watts": ' + b"9" * 1_000_000 + b"}",
    "a fraction of a million digits": b'{"words": "CANARY", "warmth": 0.' + b"9" * 1_000_000 + b"}",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_body_of_no_meaning_is_refused_at_once(lamps: Running, lamp_sessions: Sessions, body) -> None:
    costs = []
    for _ in range(3):
        started = time.process_time()
        answer = await lamps.client.post("/v1/lamps/many", headers=JSON, content=body)
        costs.append(time.process_time() - started)
    # The least of three: the first builds its route, and the collector comes when it likes.
    assert min(costs) < 0.5
    read_problem(answer, 400, "kit.unreadable")
    assert "CANARY" not in answer.text
    assert await count(lamp_sessions) == 0


async def test_a_key_that_stands_twice_is_refused_wherever_it_stands(
    lamps: Running, lamp_sessions: Sessions
) -> None:
    for body in (b'{"words": "CANARY", "words": "b"}', b'{"words": "CANARY", "spares": [{"a": 1, "a": 1}]}'):
        answer = await lamps.client.post("/v1/lamps/many", headers=JSON, content=body)
        assert read_problem(answer, 422, "kit.duplicate_key")["errors"] == [
            {
                "pointer": "",
                "code": "kit.duplicate_key",
                "params": {},
                "detail": "An object has the same key twice",
            }
        ]
        assert "CANARY" not in answer.text
    assert await count(lamp_sessions) == 0


async def test_every_fault_of_a_body_is_named_and_nothing_of_it_is_repeated(
    lamps: Running, lamp_sessions: Sessions
) -> None:
    body = {"watts": 101, "warmth": "CANARY", "partner_id": "CANARY", "CANARY/~": 1}
    answer = await lamps.client.post("/v1/lamps/many", headers=CALLER, json=body)
    problem = read_problem(answer, 422, "kit.invalid")
    assert sorted((error["pointer"], error["code"]) for error in problem["errors"]) == [
        ("", "kit.extra_forbidden"),
        ("/partner_id", "kit.uuid_parsing"),
        ("/warmth", "kit.float_parsing"),
        ("/watts", "kit.less_than_equal"),
        ("/words", "kit.missing"),
    ]
    assert {"le": 100} in [error["params"] for error in problem["errors"]]
    assert "CANARY" not in answer.text
    assert await count(lamp_sessions) == 0


async def test_a_query_of_another_form_is_refused_by_its_name(lamps: Running) -> None:
    answer = await lamps.client.get("/v1/lamps?limit=0", headers=CALLER)
    assert read_problem(answer, 422, "kit.invalid")["errors"] == [
        {
            "pointer": "/query/limit",
            "code": "kit.greater_than_equal",
            "params": {"ge": 1},
            "detail": "This is too small: must be at least 1",
        }
    ]


@pytest.mark.parametrize("path", ["/v1/lamps/%00", "/v1/lamps?cursor=%00"])
async def test_a_nul_in_an_address_is_refused(lamps: Running, path) -> None:
    read_problem(await lamps.client.get(path, headers=CALLER), 400, "kit.unreadable")


@pytest.mark.parametrize("route", ["/v1/lamps/many", "/v1/lamps"])
async def test_a_commit_that_fails_is_never_an_acceptance(
    lamps: Running, lamp_sessions: Sessions, route
) -> None:
    head = {**CALLER, "idempotency-key": "k"}
    unknown = {"words": "CANARY", "partner_id": str(new_id())}
    failed = await lamps.client.post(route, headers=head, json=unknown)
    read_problem(failed, 500, "kit.failed")
    assert "CANARY" not in failed.text
    passing = await lamps.client.post(route, headers=head, json={"words": "come again"})
    read_problem(passing, 503, "kit.unavailable")
    assert passing.headers["retry-after"] == "1"
    assert await count(lamp_sessions) == 0


async def test_a_failure_tells_its_place_to_the_log_and_its_message_to_nobody(lamps: Running) -> None:
    with capture_logs() as logs:
        answer = await lamps.client.get("/v1/lamps/failures/CANARY", headers=CALLER)
    read_problem(answer, 500, "kit.failed")
    assert "CANARY" not in answer.text + json.dumps(logs)
    failed = next(line for line in logs if line["event"] == "request.failed")
    assert failed["error"].startswith("LookupError in fail (lamps.py:")
    assert failed["route"] == "/v1/lamps/failures/{secret}"


async def test_without_a_free_connection_the_caller_is_told_to_come_again(lamps_url: str, tmp_path) -> None:
    async with lamps_face.running(tmp_path, lamps_url, pool_size=1) as lamps:
        async with lamps.app.state.sessions() as session:
            await session.execute(text("SELECT 1"))
            started = time.perf_counter()
            answer = await lamps.client.get("/v1/lamps", headers=CALLER)
        assert time.perf_counter() - started < 3
        read_problem(answer, 503, "kit.unavailable")
        assert answer.headers["retry-after"] == "1"


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(lamps: Running) -> None:
    answer = await lamps.client.get("/v1/lamps/pauses/10", headers=CALLER)
    read_problem(answer, 503, "kit.unavailable")


async def test_without_a_database_a_process_lives_and_is_not_ready(tmp_path) -> None:
    async with lamps_face.running(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing") as lamps:
        alive = await lamps.client.get("/livez")
        assert (alive.status_code, alive.text) == (200, "ok")
        read_problem(await lamps.client.get("/readyz"), 503, "kit.unavailable")
        read_problem(await lamps.client.get("/v1/lamps", headers=CALLER), 503, "kit.unavailable")


async def test_a_database_that_takes_no_connections_is_away_for_a_moment(
    postgres: str, lamps_url: str, tmp_path
) -> None:
    name = lamps_url.rpartition("/")[2]
    administrator = await asyncpg.connect(postgres)
    await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    async with lamps_face.running(tmp_path, lamps_url) as lamps:
        read_problem(await lamps.client.get("/readyz"), 503, "kit.unavailable")
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert (await lamps.client.get("/readyz")).status_code == 200
    await administrator.close()


async def test_a_process_about_to_stop_is_not_ready(lamps: Running) -> None:
    assert (await lamps.client.get("/readyz")).text == "ok"
    lamps.app.state.draining = True
    read_problem(await lamps.client.get("/readyz"), 503, "kit.draining")
    assert (await lamps.client.get("/livez")).text == "ok"


async def test_a_request_keeps_its_id_if_it_is_one(lamps: Running) -> None:
    for given, kept in (("Abc-1.2_3", True), ("", False), ("x" * 65, False), ("a b", False)):
        answer = await lamps.client.get("/livez", headers={"x-request-id": given})
        assert (answer.headers["x-request-id"] == given) is kept


def measure(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0


async def test_requests_are_counted_by_their_routes_template(lamps: Running) -> None:
    expected = [
        ("GET", "/v1/lamps/{lamp_id}", 404),
        ("GET", "/v1/lamps/failures/{secret}", 500),
        ("GET", "unmatched", 404),
        ("other", "unmatched", 404),
    ]
    before = [measure(*labels) for labels in expected]
    await lamps.client.get(f"/v1/lamps/{new_id()}", headers=CALLER)
    await lamps.client.get("/v1/lamps/failures/x", headers=CALLER)
    await lamps.client.get("/v1/CANARY", headers=CALLER)
    await lamps.client.request("CANARY", "/v1/CANARY", headers=CALLER)
    assert [measure(*labels) - old for labels, old in zip(expected, before, strict=True)] == [1, 1, 1, 1]
    seen = {sample.labels.get("route", "") for metric in REGISTRY.collect() for sample in metric.samples}
    assert not [route for route in seen if "CANARY" in route]
