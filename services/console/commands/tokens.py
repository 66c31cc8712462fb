"""`baton token`: a development token of the form that the services read."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.console.machine import folder, keys
from services.contracts.access import Role


def token(  # noqa: PLR0913 - one option a claim
    roles: Annotated[list[Role], typer.Argument(help="one or more roles")],
    *,
    subject: Annotated[UUID | None, typer.Option(help="who calls: a person's id on the whitelist")] = None,
    household: Annotated[UUID | None, typer.Option(help="the resident's household")] = None,
    outlet: Annotated[UUID | None, typer.Option(help="the outlet that calls")] = None,
    zone: Annotated[list[UUID] | None, typer.Option(help="an area or zone that the role covers")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="its life")] = keys.TOKEN_SECONDS,
    data: Annotated[Path | None, typer.Option(envvar="DATA", help="the run's data folder")] = None,
) -> None:
    """Print a development token, signed with the key of this machine's run."""
    try:
        made = keys.issue(
            (data or folder.default_path()) / "keys",
            roles=roles,
            subject=subject,
            household_id=household,
            outlet_id=outlet,
            zone_ids=zone or (),
            seconds=seconds,
        )
    except keys.KeysUnusable as error:
        raise SystemExit(f"baton: {error}") from error
    typer.echo(made)
