"""A batch of requests, each of which has its effect once."""

from sqlalchemy import text

from services.kit.errors import Conflict, Problem, Rejected
from services.kit.http import idempotency
from services.kit.http.idempotency import Answer, Identity


def identity(key="k", *, body=b"b", principal="p", route="POST /v1/lamps"):
    return Identity(principal, route, key, body)


def accept_all(decided):
    """Accept everything, naming each by its turn, and note which places were asked for."""

    async def decide(places):
        decided.append(list(places))
        return [Answer(status=201, body=f"lamp {place}".encode(), location=f"/{place}") for place in places]

    return decide


async def write(sessions, identities, decide):
    async with sessions.begin() as session:
        return await idempotency.decide_once(session, identities, decide)


async def kept(sessions):
    async with sessions() as session:
        found = await session.execute(text("SELECT principal, route, key FROM idempotency ORDER BY 1, 2, 3"))
        return [tuple(row) for row in found]


def shown(outcomes):
    return [
        outcome.code if isinstance(outcome, Problem) else (outcome.body, outcome.is_replayed)
        for outcome in outcomes
    ]


async def test_each_new_request_is_decided_and_its_answer_kept(sessions) -> None:
    decided = []
    outcomes = await write(sessions, [identity("a"), identity("b")], accept_all(decided))
    assert shown(outcomes) == [(b"lamp 0", False), (b"lamp 1", False)]
    assert decided == [[0, 1]]
    assert await kept(sessions) == [("p", "POST /v1/lamps", "a"), ("p", "POST /v1/lamps", "b")]


async def test_what_was_accepted_before_is_replayed_and_decided_no_more(sessions) -> None:
    decided = []
    (first,) = await write(sessions, [identity("a")], accept_all(decided))
    again = await write(sessions, [identity("new"), identity("a")], accept_all(decided))
    assert shown(again) == [(b"lamp 0", False), (first.body, True)]
    assert again[1].location == first.location
    assert decided == [[0], [0]]
    response = again[1].as_response()
    assert (response.status_code, response.headers["idempotency-replayed"]) == (201, "true")


async def test_twins_of_a_batch_share_one_decision(sessions) -> None:
    decided = []
    outcomes = await write(sessions, [identity(), identity("x"), identity()], accept_all(decided))
    assert shown(outcomes) == [(b"lamp 0", False), (b"lamp 1", False), (b"lamp 0", True)]
    assert decided == [[0, 1]]
    assert len(await kept(sessions)) == 2


async def test_the_same_key_with_another_body_is_refused_before_and_within_the_batch(sessions) -> None:
    decided = []
    other = identity(body=b"other")
    assert shown(await write(sessions, [identity(), other], accept_all(decided))) == [
        (b"lamp 0", False), "kit.idempotency_key_reused",
    ]  # fmt: skip
    assert shown(await write(sessions, [other], accept_all(decided))) == ["kit.idempotency_key_reused"]
    assert decided == [[0]]


async def test_the_same_key_of_another_principal_or_route_is_another_request(sessions) -> None:
    identities = [identity(), identity(principal="q"), identity(route="POST /v1/candles")]
    outcomes = await write(sessions, identities, accept_all([]))
    assert shown(outcomes) == [(b"lamp 0", False), (b"lamp 1", False), (b"lamp 2", False)]


async def test_a_refusal_keeps_nothing_and_its_twin_shares_it(sessions) -> None:
    refusal = Rejected("kit.too_dark", "Too dark")

    async def refuse(places):
        return [refusal for _ in places]

    outcomes = await write(sessions, [identity(), identity(), identity(body=b"other")], refuse)
    assert outcomes[:2] == [refusal, refusal]
    assert isinstance(outcomes[2], Conflict)
    assert outcomes[2].code == "kit.idempotency_in_flight"
    assert await kept(sessions) == []


async def test_a_key_in_other_hands_is_told_at_once_and_holds_nobody_up(sessions) -> None:
    decided = []
    async with sessions.begin() as other:
        await idempotency.claim(other, identity("busy"))
        outcomes = await write(sessions, [identity("busy"), identity("free")], accept_all(decided))
    assert shown(outcomes) == ["kit.idempotency_in_flight", (b"lamp 1", False)]
    assert decided == [[1]]
    assert await kept(sessions) == [("p", "POST /v1/lamps", "free")]
