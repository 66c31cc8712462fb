"""The route table: which service answers which path, and what no caller may exceed."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

TABLE = Path(__file__).parents[3] / "deploy/gateway/routes.yaml"

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(_Read):
    """A path and all below it, the service that answers there, and how long it may take."""

    path: Annotated[str, Field(pattern=r"^(/(\{id\}|[a-z0-9-]+))+(\.(csv|html))?$")]
    service: Literal["catalog", "orders", "dispatch", "whitelist"]
    timeout: str


class Timeout(_Read):
    """Seconds for a whole answer (None: no end), and seconds in which nothing moves."""

    whole: Seconds | None
    idle: Seconds


class Limits(_Read):
    """What one gateway process grants its callers."""

    body_bytes: Count
    header_kib: Count
    header_count: Count
    head_seconds: Seconds
    request_seconds: Seconds
    connection_idle_seconds: Seconds
    connections: Count
    clock_skew_seconds: Count
    requests_per_second: Count
    requests_burst: Count


class Table(_Read):
    """Everything about the gateway that is the same on every machine."""

    routes: Annotated[tuple[Route, ...], Field(min_length=1)]
    timeouts: dict[str, Timeout]
    limits: Limits
    removed_headers: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z-]*\*?$")], ...]

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        unknown = {route.timeout for route in self.routes} - self.timeouts.keys()
        if unknown:
            raise ValueError(f"no timeout is called {', '.join(sorted(unknown))}")
        paths = [route.path for route in self.routes]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"more than one row for {', '.join(twice)}")
        return self


def load(path: Path = TABLE) -> Table:
    """Return the table of a file; raise `pydantic.ValidationError` naming every field that is wrong."""
    read: Any = yaml.safe_load(path.read_text())
    return Table.model_validate(read)
