"""What a steward may read of a load, while he has to do with it and afterwards."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from services.kit.database import Sessions
from tests.dispatch.bulks import BulkRelay, make_bulk_relay


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    return await make_bulk_relay(client, service_sessions, tmp_path)


async def end_duty(relay: BulkRelay) -> None:
    async with relay.sessions.begin() as session:
        await session.execute(text("UPDATE duties SET ends_at = now()"))


async def read(relay: BulkRelay) -> dict[str, int]:
    """How what tells of the load's households is answered to its steward."""
    load, bag = f"/v1/loads/{relay.load_id}", relay.bags[0][0]
    paths = {
        "manifest": f"{load}/manifest", "split": f"{load}/split", "load": load,
        "custody": f"/v1/hand-overs?load_id={relay.load_id}", "bag": f"/v1/load-units/{bag}",
        "label": f"/v1/load-units/{bag}/label",
    }  # fmt: skip
    return {
        name: (await relay.client.get(path, headers=relay.headers("steward"))).status_code
        for name, path in paths.items()
    }


async def test_who_had_a_load_reads_of_its_households_no_longer_than_he_has_to_do_with_it(
    relay: BulkRelay,
) -> None:
    names = ("manifest", "split", "load", "custody", "bag", "label")
    await relay.record(*relay.crate_notes(1, 2))
    assert (await relay.split(relay.split_note())).status_code == 200
    await relay.record(*relay.door_notes(0), *relay.door_notes(1))
    assert await read(relay) == dict.fromkeys(names, 200)
    await end_duty(relay)
    # Some of it is still in his hands.
    assert await read(relay) == dict.fromkeys(names, 200)
    late = relay.door_notes(2)
    items = await relay.record(*late, role="steward")
    assert [(item["outcome"], item["is_breach"]) for item in items] == [("recorded", False)]

    assert await read(relay) == dict.fromkeys(names, 404)

    # To tell of it he is tied to it for good.
    assert [item["outcome"] for item in await relay.record(*late, role="steward")] == ["repeated"]
