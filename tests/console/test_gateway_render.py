"""`baton gateway render`: what it prints is what Envoy reads, and what cannot be meant is named."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from services.console.gateway import table as route_table
from services.console.main import app
from services.console.parts import envoy
from tests.console import gateways

PLACES = [
    f"--upstream={service}={service}.internal:{8000 + n}" for n, service in enumerate(gateways.SERVICES)
]


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(gateways.KEYS))
    return path


def render(*options: str, key_set: Path) -> str:
    done = CliRunner().invoke(app, ["gateway", "render", f"--key-set={key_set}", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refusal(*options: str, key_set: Path) -> str:
    done = CliRunner().invoke(app, ["gateway", "render", f"--key-set={key_set}", *options])
    assert done.exit_code == 1
    assert "static_resources" not in done.output
    return done.output


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_it_prints_what_the_same_facts_render_on_this_machine(form: str, key_set: Path) -> None:
    printed = render(
        *PLACES, "--listen=0.0.0.0:443", "--admin-port=9000", "--issuer=https://id.example",
        "--audience=town", "--tls-chain=/tls/chain.pem", "--tls-key=/tls/key.pem", f"--format={form}",
        key_set=key_set,
    )  # fmt: skip
    assert (json.loads if form == "json" else yaml.safe_load)(printed) == gateways.config.render(
        route_table.load(),
        listen=("0.0.0.0", 443),  # noqa: S104 - rendered, not bound
        admin_port=9000,
        upstreams={service: (f"{service}.internal", 8000 + n) for n, service in enumerate(gateways.SERVICES)},
        keys=gateways.KEYS,
        issuer="https://id.example",
        audience="town",
        tls=(Path("/tls/chain.pem"), Path("/tls/key.pem")),
    )


def test_envoy_accepts_what_is_printed(key_set: Path, tmp_path: Path) -> None:
    envoy.check(json.loads(render(*PLACES, key_set=key_set)), tmp_path)


def test_documents_are_shown_in_development_alone(key_set: Path) -> None:
    assert "/v1/openapi/orders.json" not in render(*PLACES, key_set=key_set)
    assert "/v1/openapi/orders.json" in render(*PLACES, "--development", key_set=key_set)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (PLACES[1:], f"no place is given for {gateways.SERVICES[0]}"),
        ([*PLACES, "--upstream=billing=host:1"], "no row of the table leads to billing"),
        ([*PLACES, PLACES[0]], "is not one service=host:port"),
        ([*PLACES[1:], "--upstream=catalog"], "is not one service=host:port"),
        ([*PLACES, "--listen=8080"], "8080 is not host:port"),
        ([*PLACES, "--listen=host:70000"], "host:70000 is not host:port"),
        ([*PLACES, "--tls-chain=/tls/chain.pem"], "a certificate is two files"),
    ],
)
def test_options_that_cannot_be_meant_are_named(options: list[str], said: str, key_set: Path) -> None:
    assert said in refusal(*options, key_set=key_set)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is no JSON document"), ("[]", "is no set of keys"), ('{"keys": []}', "nobody could come in")],
)
def test_a_key_set_that_lets_nobody_in_is_refused(content: str, said: str, key_set: Path) -> None:
    key_set.write_text(content)
    assert said in refusal(*PLACES, key_set=key_set)
