"""The whole of it, as a town sees it: every process real, every step through the gateway."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from services.console.machine import processes, running
from services.console.machine.databases import SERVICES
from services.console.machine.folder import database_url_of
from services.console.machine.running import Plan, Running
from services.console.parts.ports import free_port
from services.console.scenarios import case as cases
from services.console.scenarios import play as plays
from services.console.scenarios import report
from services.console.scenarios.voices import Voices, open_client


def small_case() -> cases.Case:
    """A village of forty households, half of them in two groups, one good short, one driver positive."""
    case = cases.load("village")
    goods = [
        good.model_copy(update={"households_percent": 40 if good.name == "土豆" else good.households_percent})
        for good in case.assumed.goods
    ]
    assumed = case.assumed.model_copy(
        update={
            "group_share_percent": 50, "idle_percent": 5, "groups_a_village": 2, "group_minimum": 2,
            "cut_off_seconds": 25, "scarce": "土豆", "overpriced": 1, "suspended_drivers": 1,
            "goods": tuple(goods),
        }
    )  # fmt: skip
    return case.model_copy(update={"assumed": assumed})


def small_market() -> cases.Case:
    """Four communities at two work sites, forty households, seven vegetables: 300 kg in bulk."""
    case = cases.load("chendai")
    market = case.facts.market.model_copy(update={"work_sites": 2, "jin": 600})
    facts = case.facts.model_copy(update={"villages": case.facts.villages[:4], "market": market})
    assumed = case.assumed.model_copy(
        update={
            "households_a_building": 5, "group_minimum": 2, "cut_off_seconds": 25, "drivers": 4,
            "vehicles": 3, "overpriced": 0, "losses": cases.Losses(every_loads=2, spoiled_g=1700),
        }
    )  # fmt: skip
    return case.model_copy(update={"facts": facts, "assumed": assumed})


async def play_both(up: Running, bus: str) -> list[report.Report]:
    """Play the day and the market at once; in the middle of the splits every worker is killed."""

    def kill_workers() -> None:
        for child in up.children:
            if "worker" in child.name:
                child.process.kill()

    async def keep_reviving() -> None:
        while True:
            up.revive()
            await asyncio.sleep(0.2)

    async with open_client(up.gateway) as client:
        watch = asyncio.create_task(keep_reviving())
        voices = Voices(client, up.folder.keys)
        try:
            return await asyncio.gather(
                *(
                    plays.play(case, voices, print, bus=bus, in_mid_split=kill_workers)
                    for case in (small_case(), small_market())
                )
            )
        finally:
            watch.cancel()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="baton-town-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


async def show(url: str, setting: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(f"SHOW {setting}"))
    finally:
        await connection.close()


@pytest.mark.parametrize("bus", ["postgres", "kafka"])
def test_a_sealed_day_and_a_market_run_end_at_every_door(
    bus: str, request: pytest.FixtureRequest, folder: Path
) -> None:
    bootstrap = request.getfixturevalue("kafka") if bus == "kafka" else None
    plan = Plan(path=folder / "town", port=free_port(), bus=bus, kafka_bootstrap=bootstrap)
    with running.running(plan, print) as up:
        assert asyncio.run(show(up.cluster.url, "fsync")) == "on"
        day, market = asyncio.run(play_both(up, bus))

    assert report.find_failures(day) == []
    assert day["bus"] == bus
    assert day["households"] == 40
    assert day["orders"]["placed"] == day["orders"]["confirmed"] + day["orders"]["refused"] > 30
    assert day["group_orders"] == 2
    assert day["price_refusals"] == 1
    assert (day["suspended"], day["rescued"], day["breaches"]) == (1, 0, 0)
    legs = day["handovers"]
    assert legs["leg1"] == legs["leg2"] == legs["leg3"] == day["load_units"]

    assert report.find_failures(market) == []
    assert (market["households"], market["orders"]["confirmed"], market["orders"]["lost"]) == (40, 40, 0)
    assert market["tonnes"] == 0.3
    # Two of four loads lost 1,700 g, which is four units of 500 g: so much is missing at the doors.
    bulk = market["bulk"]
    assert (bulk["in_g"], bulk["portions_g"], bulk["loss_g"]) == (300_000, 296_000, 4_000)
    assert (market["suspended"], market["breaches"]) == (1, 0)
    assert market["rescued"] >= 1


def start(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.console", "run", "--port", str(port), "--data", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "COLUMNS": "200"},
        start_new_session=True,
    )  # fmt: skip


def read_until(run: subprocess.Popen[str], last: str) -> str:
    """Return what a run has said up to a line with these words; it must come before the run ends."""
    said = ""
    assert run.stdout is not None
    for line in run.stdout:
        said += line
        if last in line:
            return said
    raise AssertionError(said)


def wait_until_ready(run: subprocess.Popen[str]) -> str:
    return read_until(run, "Ctrl-C stops everything")


def test_a_run_is_ordered_from_killed_and_goes_on_with_its_data(folder: Path) -> None:
    port, data = free_port(), folder / "town"
    first = start(data, port)
    wait_until_ready(first)
    head = {"authorization": f"Bearer {(data / 'tokens/resident').read_text()}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=head, trust_env=False) as client:
        order_id = order_something(client)
        taken = start(folder / "other", port)
        said = taken.communicate(timeout=60)[0]
        assert taken.returncode == 1
        assert f"the gateway cannot have 127.0.0.1:{port}" in said
        double = start(data, free_port())
        assert f"a run already goes on in {data} (process {first.pid})" in double.communicate(timeout=60)[0]

        asyncio.run(let_a_month_pass(data))
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert first.stdout is not None
        first.stdout.close()
        again = start(data, port)
        said = wait_until_ready(again)
        assert "processes that a killed run had left" in said
        assert "the village of the last run goes on" in said
        assert client.get(f"/v1/orders/{order_id}").json()["status"] == "confirmed"
        for path, end, days in (
            ("duties", "ends_at", 7), ("vehicles", "shift_ends_at", 30), ("passes", "valid_to", 30),
        ):  # fmt: skip
            ends = [item[end] for item in list_as_commander(client, data, path)]
            assert min(map(datetime.fromisoformat, ends)) > datetime.now(UTC) + timedelta(days=days - 1)
        for service in SERVICES:
            assert client.get(f"/v1/openapi/{service}.json").json()["info"]["title"] == service

        for name in ("envoy", "postgres"):
            first_of(data, name).kill()
        said = read_until(again, "PostgreSQL had died and was started again")
        assert "Envoy had died and was started again" in said
        wait_for_order(client, order_id)

    # What Ctrl-C at a terminal does: everyone of the group is told, and only the runner is in it.
    os.killpg(again.pid, signal.SIGINT)
    said = again.communicate(timeout=60)[0]
    assert said.rstrip().endswith("stopping")
    assert again.returncode == 0
    assert [process for process in psutil.process_iter() if belongs(process, data)] == []


async def let_a_month_pass(data: Path) -> None:
    """Move what the village was given for a time into the past."""
    for service, table, start, end in (
        ("whitelist", "duties", "starts_at", "ends_at"),
        ("dispatch", "vehicles", "shift_starts_at", "shift_ends_at"),
        ("dispatch", "vehicle_passes", "valid_from", "valid_to"),
    ):  # fmt: skip
        url = database_url_of(service, data)
        assert url is not None
        connection = await asyncpg.connect(url)
        earlier = f"{start} = {start} - interval '30 d', {end} = {end} - interval '30 d'"
        done = await connection.execute(f"UPDATE {table} SET {earlier}")
        await connection.close()
        assert done != "UPDATE 0"


def list_as_commander(client: httpx.Client, data: Path, path: str) -> list[dict[str, str]]:
    head = {"authorization": f"Bearer {(data / 'tokens/commander').read_text()}"}
    items: list[dict[str, str]] = client.get(f"/v1/{path}", headers=head).json()["items"]
    assert items
    return items


def belongs(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(processes.MARK) == str(data)
    except psutil.Error:
        return False


def first_of(data: Path, name: str) -> psutil.Process:
    """Return the oldest process of a run with this name: of PostgreSQL, the one that owns the others."""
    found = [
        process for process in psutil.process_iter() if belongs(process, data) and process.name() == name
    ]
    return min(found, key=lambda process: process.create_time())


def wait_for_order(client: httpx.Client, order_id: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get(f"/v1/orders/{order_id}").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            continue
    raise AssertionError("the gateway did not come back")


def order_something(client: httpx.Client) -> str:
    """Place a first order as the README does, and return its id once it is confirmed."""
    zone = client.get("/v1/zones").json()["items"][0]["zone_id"]
    slot = client.get(f"/v1/zones/{zone}/slots").json()["slots"][0]
    line = client.get(f"/v1/zones/{zone}/menu").json()["lines"][0]
    wanted = {"product_id": line["product_id"], "quantity": 1, "seen_price_fen": line["price_fen"]}
    placed = client.post(
        "/v1/orders",
        json={"slot_id": slot["slot_id"], "lines": [wanted]},
        headers={"idempotency-key": "first", "prefer": "wait=2"},
    )
    assert placed.status_code in (200, 202), placed.text
    deadline = time.monotonic() + 30
    while (order := client.get(f"/v1/orders/{placed.json()['order_id']}").json())["status"] == "placed":
        assert time.monotonic() < deadline
    assert order["status"] == "confirmed", order
    return order["order_id"]
