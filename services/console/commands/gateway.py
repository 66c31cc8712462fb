"""`baton gateway render`: the one route table as the configuration that Envoy reads, for any machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from services.console.gateway import config, table
from services.console.gateway.config import Place
from services.console.gateway.keys import KeyUnusable
from services.console.machine import keys as machine_keys

HIGHEST_PORT = 65_535

app = typer.Typer(help="The gateway before the services.", no_args_is_help=True)


@app.command()
def render(  # noqa: PLR0913 - each is a fact of the machine
    *,
    upstream: Annotated[list[str], typer.Option(help="catalog=host:port, once for each service")],
    key_set: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="a JWKS of public keys")],
    listen: Annotated[str, typer.Option(help="where callers come in")] = "0.0.0.0:8080",
    admin_port: Annotated[
        int, typer.Option(min=1, max=HIGHEST_PORT, help="Envoy's own, on this machine alone")
    ] = 9901,
    issuer: Annotated[str, typer.Option(help="of the tokens")] = machine_keys.ISSUER,
    audience: Annotated[str, typer.Option(help="of the tokens")] = machine_keys.AUDIENCE,
    tls_chain: Annotated[Path | None, typer.Option(help="the certificate's file, as Envoy sees it")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="the file of its key, as Envoy sees it")] = None,
    development: Annotated[bool, typer.Option(help="show the OpenAPI documents")] = False,
    form: Annotated[Literal["json", "yaml"], typer.Option("--format")] = "json",
) -> None:
    """Print Envoy's configuration, the same for the same options."""
    try:
        made = config.render(
            table.load(),
            listen=_place(listen),
            admin_port=admin_port,
            upstreams=_places(upstream),
            keys=_read_keys(key_set),
            issuer=issuer,
            audience=audience,
            tls=_certificate(tls_chain, tls_key),
            development=development,
        )
    except (KeyUnusable, ValueError) as error:
        raise SystemExit(f"baton: the gateway cannot be rendered: {error}") from error
    typer.echo(_written(made, form), nl=False)


def _written(made: config.Config, form: str) -> str:
    if form == "yaml":
        return yaml.safe_dump(made, allow_unicode=True, sort_keys=False, width=110)
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _places(given: list[str]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for each in given:
        service, equals, place = each.partition("=")
        if not equals or service in places:
            raise ValueError(f"{each} is not one service=host:port")
        places[service] = _place(place)
    served = {route.service for route in table.load().routes}
    if unknown := sorted(places.keys() - served):
        raise ValueError(f"no row of the table leads to {', '.join(unknown)}")
    return places


def _place(given: str) -> Place:
    host, colon, port = given.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) <= HIGHEST_PORT):
        raise ValueError(f"{given} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _read_keys(path: Path) -> Mapping[str, Any]:
    try:
        read = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON document") from error
    if not isinstance(read, dict) or not isinstance(read.get("keys"), list):
        raise ValueError(f"{path} is no set of keys (RFC 7517)")  # noqa: TRY004 - of a file
    return read


def _certificate(chain: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if chain and key:
        return chain, key
    if chain or key:
        raise ValueError("a certificate is two files: --tls-chain and --tls-key")
    return None
