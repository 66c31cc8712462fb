"""Envoy's configuration, rendered from the route table."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.console.gateway import keys as key_sets
from services.console.gateway import problems, routes
from services.console.gateway.routes import seconds
from services.console.gateway.table import Limits, Table

Config = dict[str, Any]
Place = tuple[str, int]

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def render(  # noqa: PLR0913 - each is a fact of the machine, and a caller names it
    table: Table,
    *,
    listen: Place,
    admin_port: int,
    upstreams: Mapping[str, Place],
    keys: Mapping[str, Any],
    issuer: str,
    audience: str,
    tls: tuple[Path, Path] | None = None,
    development: bool = False,
) -> Config:
    """Return what Envoy reads, the same for the same arguments.

    `upstreams` says where each service answers, `keys` is a JWKS, `tls` names the files of a certificate
    chain and its key. In development the services' OpenAPI documents are open at /v1/openapi/<service>.json.
    Raises `KeyUnusable` for a key that is not asymmetric, `ValueError` for a service without a place.
    """
    served = sorted({route.service for route in table.routes})
    if missing := [service for service in served if service not in upstreams]:
        raise ValueError(f"no place is given for {', '.join(missing)}")

    documented = served if development else []
    tokens = _tokens(table.limits, keys, (issuer, audience), unasked=routes.open_paths(documented))
    connections = _connections(table, documented=documented, tokens=tokens)
    return {
        # What the administration answers stops the gateway and shows its keys: it never leaves this machine.
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "static_resources": {
            "listeners": [_listener(listen, connections, tls)],
            "clusters": [_cluster(service, upstreams[service]) for service in served],
        },
        "overload_manager": {"resource_monitors": [_connection_limit(table.limits)]},
    }


def _listener(listen: Place, connections: Config, tls: tuple[Path, Path] | None) -> Config:
    manager = _extension("envoy.filters.network.http_connection_manager", connections)
    return {
        "name": "gateway",
        "address": _address(*listen),
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [{"filters": [manager], **({"transport_socket": _tls(*tls)} if tls else {})}],
    }


def _connections(table: Table, *, documented: Sequence[str], tokens: Config) -> Config:
    limits = table.limits
    return {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "server_name": "baton",
        "route_config": routes.render(table, documented=documented),
        "http_filters": [
            _rate_limit(limits),
            tokens,
            _filter("buffer", "Buffer", {"max_request_bytes": limits.body_bytes}),
            _filter("router", "Router", {"suppress_envoy_headers": True}),
        ],
        "local_reply_config": problems.local_replies(),
        "early_header_mutation_extensions": [_removal(table.removed_headers)],
        # The address is the connection's, never what a header says; ids are ours and told to both sides.
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        # One path, one meaning: what is matched here is what the service reads.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_headers_timeout": seconds(limits.head_seconds),
        "request_timeout": seconds(limits.request_seconds),
        "stream_idle_timeout": seconds(limits.connection_idle_seconds),
        "max_request_headers_kb": limits.header_kib,
        **_protocols(limits),
    }


def _protocols(limits: Limits) -> Config:
    return {
        "common_http_protocol_options": {
            "idle_timeout": seconds(limits.connection_idle_seconds),
            "max_headers_count": limits.header_count,
            # Some readers take x_baton_role for x-baton-role.
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        # No service speaks another protocol, and a refusal of Envoy's would be a 403.
        "http_protocol_options": {"ignore_http_11_upgrade": [{"safe_regex": {"regex": ".*"}}]},
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
    }


def _removal(names: Sequence[str]) -> Config:
    # Before Envoy itself reads any of them.
    kind = f"{EXTENSIONS}.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    removed = [{"remove_on_match": {"key_matcher": _header(name)}} for name in names]
    return _extension(
        "envoy.http.early_header_mutation.header_mutation", {"@type": kind, "mutations": removed}
    )


def _header(name: str) -> Config:
    kind = "prefix" if name.endswith("*") else "exact"
    return {kind: name.removesuffix("*"), "ignore_case": True}


def _rate_limit(limits: Limits) -> Config:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return _filter(
        "local_ratelimit",
        "LocalRateLimit",
        {
            "stat_prefix": "gateway",
            "token_bucket": {
                "max_tokens": limits.requests_burst,
                "tokens_per_fill": limits.requests_per_second,
                "fill_interval": "1s",
            },
            "filter_enabled": always,
            "filter_enforced": always,
        },
    )


def _tokens(limits: Limits, keys: Mapping[str, Any], names: tuple[str, str], *, unasked: list[str]) -> Config:
    issuer, audience = names
    provider = {
        "issuer": issuer,
        "audiences": [audience],
        "local_jwks": {"inline_string": key_sets.pinned(keys)},
        # The header alone: a token in an address ends in logs and histories.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": True,  # the service checks it again, for itself
        "require_expiration": True,
        "clock_skew_seconds": limits.clock_skew_seconds,
        # A signature costs more than all else here; what is remembered still expires.
        "jwt_cache_config": {"jwt_cache_size": 10000},
    }
    rules: list[Config] = [{"match": {"path": path}} for path in unasked]
    # Everything else, also what no row fits: a row added tomorrow is closed without a second thought.
    rules.append({"match": {"prefix": "/"}, "requires": {"provider_name": "baton"}})
    return _filter(
        "jwt_authn",
        "JwtAuthentication",
        {"providers": {"baton": provider}, "rules": rules, "strip_failure_response": True},
    )


def _cluster(service: str, place: Place) -> Config:
    # No retries anywhere: only the caller knows whether its request may be sent again.
    return {
        "name": service,
        "type": "STATIC" if _is_number(place[0]) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": service,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*place)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                # Shorter than uvicorn's 5 s, or a request would meet a connection that is just being closed.
                "common_http_protocol_options": {"idle_timeout": "3s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _connection_limit(limits: Limits) -> Config:
    kind = "downstream_connections.v3.DownstreamConnectionsConfig"
    return _extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        {
            "@type": f"{EXTENSIONS}.resource_monitors.{kind}",
            "max_active_downstream_connections": limits.connections,
        },
    )


def _tls(chain: Path, key: Path) -> Config:
    return _extension(
        "envoy.transport_sockets.tls",
        {
            "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificates": [
                    {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(key)}}
                ],
            },
        },
    )


def _filter(name: str, message: str, fields: Config) -> Config:
    kind = f"{EXTENSIONS}.filters.http.{name}.v3.{message}"
    return _extension(f"envoy.filters.http.{name}", {"@type": kind, **fields})


def _extension(name: str, config: Config) -> Config:
    return {"name": name, "typed_config": config}


def _address(host: str, port: int) -> Config:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
