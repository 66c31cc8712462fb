"""The rows of the table as Envoy's routes, in the same order."""

from collections.abc import Sequence
from typing import Any

from services.console.gateway.table import Route, Table

HEALTH = "/healthz"
Row = dict[str, Any]


def render(table: Table, *, documented: Sequence[str]) -> dict[str, Any]:
    """Return the routes: health, the OpenAPI documents of the services `documented`, the table; no other."""
    rows = [_health(), *map(_document, documented), *(_row(route, table) for route in table.routes)]
    return {"name": "gateway", "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": rows}]}


def open_paths(documented: Sequence[str]) -> list[str]:
    """Return the only paths that want no token."""
    return [HEALTH, *map(_document_path, documented)]


def seconds(value: float | None) -> str:
    """Return a duration as Envoy reads it; None is for ever."""
    return f"{value or 0:g}s"


def _health() -> Row:
    return {
        "match": {"path": HEALTH},
        "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
        # Whoever asks whether the gateway lives is answered also when it is full.
        "typed_per_filter_config": {
            "envoy.filters.http.local_ratelimit": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "disabled": True,
            }
        },
    }


def _document_path(service: str) -> str:
    return f"/v1/openapi/{service}.json"


def _document(service: str) -> Row:
    route = {"cluster": service, "prefix_rewrite": "/openapi.json", "timeout": "5s"}
    return {"match": {"path": _document_path(service)}, "route": route}


def _row(route: Route, table: Table) -> Row:
    timeout = table.timeouts[route.timeout]
    return {
        "match": _match(route.path),
        "route": {
            "cluster": route.service,
            "timeout": seconds(timeout.whole),
            "idle_timeout": seconds(timeout.idle),
        },
    }


def _match(path: str) -> Row:
    if "{" not in path:
        return {"path_separated_prefix": path}
    # The table's check leaves nothing else in a path that a pattern could read otherwise.
    return {"safe_regex": {"regex": path.replace(".", r"\.").replace("{id}", "[^/]+") + "(?:/.*)?"}}
