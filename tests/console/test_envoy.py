"""The rendered configuration, the keys in it, and the start of Envoy."""

import datetime as dt
import ipaddress
import json
import socket
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from services.console.gateway import keys, routes
from services.console.gateway import table as route_table
from services.console.parts import envoy
from services.console.parts.ports import free_port
from tests.console import gateways

TABLE = route_table.load()
PUBLIC = gateways.KEYS["keys"]


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, private


def test_the_same_facts_give_the_same_bytes():
    facts = {"listen": ("127.0.0.1", 8080), "admin_port": 9901}
    places = {service: ("127.0.0.1", 8000 + place) for place, service in enumerate(gateways.SERVICES)}
    turned = dict(reversed(places.items()))
    first, second = (
        json.dumps(gateways.make_config(route_table.load(), given, **facts)) for given in (places, turned)
    )
    assert first == second


def test_production_and_development_differ_by_the_documents_alone():
    paths = [
        [row["match"].get("path") for row in rows["virtual_hosts"][0]["routes"] if "path" in row["match"]]
        for rows in (
            routes.render(TABLE, documented=()),
            routes.render(TABLE, documented=("catalog", "orders")),
        )
    ]
    assert paths == [
        ["/healthz"],
        ["/healthz", "/v1/openapi/catalog.json", "/v1/openapi/orders.json"],
    ]


def test_a_request_may_take_five_seconds_and_a_mebibyte():
    assert TABLE.timeouts["request"].whole == 5
    assert {route.timeout for route in TABLE.routes if not route.path.endswith("/events")} == {"request"}
    assert TABLE.limits.body_bytes == 1024 * 1024


def test_the_administration_stays_on_this_machine():
    config = gateways.make_config(TABLE, {}, listen=("0.0.0.0", 8080), admin_port=9901)  # noqa: S104
    assert config["admin"]["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}


def test_a_service_without_a_place_is_an_error():
    with pytest.raises(ValueError, match=r"no place is given for dispatch, orders"):
        gateways.config.render(
            TABLE, listen=("127.0.0.1", 1), admin_port=2, keys=gateways.KEYS, issuer="i", audience="a",
            upstreams={"catalog": ("127.0.0.1", 3), "whitelist": ("127.0.0.1", 4)},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"path": "/v1/orders", "service": "orders", "timeout": "patient"}, "no timeout is called patient"),
        ({"path": "/v1/areas", "service": "orders", "timeout": "request"}, "more than one row for /v1/areas"),
        ({"path": "/v1/.*", "service": "orders", "timeout": "request"}, "should match pattern"),
        ({"path": "v1/x", "service": "orders", "timeout": "request"}, "should match pattern"),
        ({"path": "/v1/x", "service": "billing", "timeout": "request"}, "'catalog', 'orders'"),
        ({"path": "/v1/x", "service": "orders", "timeout": "request", "open": True}, "not permitted"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(tmp_path, changed, said):
    rows = route_table.yaml.safe_load(route_table.TABLE.read_text())
    rows["routes"].append(changed)
    if said.startswith("no timeout"):
        rows["routes"] = [changed]
    path = tmp_path / "routes.yaml"
    path.write_text(json.dumps(rows))
    with pytest.raises(ValidationError, match=said):
        route_table.load(path)


def test_a_key_is_bound_to_its_algorithm_and_loses_what_is_private():
    private = gateways.PRIVATE["EdDSA"]
    whole = gateways.jwt.algorithms.OKPAlgorithm.to_jwk(private, as_dict=True)
    kept = json.loads(keys.pinned({"keys": [{**whole, "kid": "one", "key_ops": ["sign"]}]}))["keys"]
    assert kept == [
        {"kid": "one", "kty": "OKP", "crv": "Ed25519", "x": whole["x"], "alg": "EdDSA", "use": "sig"}
    ]
    assert [key["alg"] for key in json.loads(keys.pinned(gateways.KEYS))["keys"]] == [
        "EdDSA",
        "ES256",
        "RS256",
    ]


def small_rsa():
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be refused
    return gateways.public_jwk(private)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, "key 0 is none of"),
        ({"kty": "EC", "crv": "P-521", "x": "", "y": ""}, "key 0 is none of"),
        ({"kty": "OKP", "crv": "X25519", "x": "", "kid": "seven"}, "key 'seven' is none of"),
        ({"kty": "oct", "crv": "Ed25519", "k": "c2VjcmV0"}, "key 0 is none of"),
        ({**PUBLIC[2], "kid": "r", "alg": "HS256"}, "key 'r' is for HS256, and here such a key signs RS256"),
        ({**PUBLIC[2], "kid": "r", "alg": "none"}, "key 'r' is for none"),
        ({**PUBLIC[1], "kid": "e", "use": "enc"}, "key 'e' is not for signatures"),
        ({"kty": "EC", "crv": "P-256", "x": "a"}, "key 0 lacks y"),
        (small_rsa(), "key 0 is shorter than 2048 bits"),
    ],
)
def test_a_key_that_could_let_others_sign_is_refused(key, said):
    with pytest.raises(keys.KeyUnusable, match=said):
        keys.pinned({"keys": [*PUBLIC[3:], key]})


@pytest.mark.parametrize("nothing", [{}, {"keys": []}])
def test_a_set_without_keys_is_refused(nothing):
    with pytest.raises(keys.KeyUnusable, match="empty"):
        keys.pinned(nothing)


def test_envoy_accepts_the_configuration_of_production_with_certificates(certificate, tmp_path):
    places = {service: (f"{service}.internal", 8000) for service in gateways.SERVICES}
    config = gateways.make_config(TABLE, places, listen=("0.0.0.0", 443), tls=certificate)  # noqa: S104
    envoy.check(config, tmp_path)
    config["static_resources"]["listeners"][0]["unheard_of"] = True
    with pytest.raises(envoy.EnvoyFailed, match="unheard_of"):
        envoy.check(config, tmp_path)


def test_with_certificates_it_speaks_tls_and_nothing_else(certificate, tmp_path):
    trust = ssl.create_default_context(cafile=certificate[0])
    config = gateways.make_config(TABLE, {}, tls=certificate)
    with envoy.running(config, tmp_path / "gateway") as address:
        assert address.startswith("https://127.0.0.1:")
        assert httpx.get(f"{address}/healthz", verify=trust, trust_env=False).text == "ok\n"
        assert httpx.get(f"{address}/v1/orders", verify=trust, trust_env=False).status_code == 401
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{address.replace('https', 'http')}/healthz", trust_env=False)


@pytest.mark.parametrize("taken", ["listen", "admin"])
def test_a_taken_port_is_named_and_nothing_is_started(tmp_path, taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        places = {"listen": {"listen": ("127.0.0.1", port)}, "admin": {"admin_port": port}}
        config = gateways.make_config(TABLE, {}, **places[taken])
        with (
            pytest.raises(envoy.EnvoyFailed, match=f"127.0.0.1:{port}: Address already in use"),
            envoy.running(config, tmp_path),
        ):
            pytest.fail("it ran")
    assert list(tmp_path.iterdir()) == []


def test_a_second_gateway_does_not_share_the_port_of_the_first(tmp_path):
    port = free_port()
    first, second = (gateways.make_config(TABLE, {}, listen=("127.0.0.1", port)) for _ in range(2))
    with (
        envoy.running(first, tmp_path / "first") as address,
        pytest.raises(envoy.EnvoyFailed, match=f"127.0.0.1:{port}"),
        envoy.running(second, tmp_path / "second"),
    ):
        pytest.fail("it ran")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz", trust_env=False)


def test_a_start_that_fails_repeats_what_envoy_said(tmp_path):
    config = gateways.make_config(TABLE, {}, tls=(tmp_path / "no.pem", tmp_path / "no.key"))
    with pytest.raises(envoy.EnvoyFailed, match=r"no\.key"), envoy.running(config, tmp_path):
        pytest.fail("it ran")


def test_an_end_of_its_own_is_an_error(tmp_path):
    config = gateways.make_config(TABLE, {})
    admin = config["admin"]["address"]["socket_address"]["port_value"]
    with (
        pytest.raises(envoy.EnvoyFailed, match=r"ended by itself with 0: see .*envoy\.log"),
        envoy.running(config, tmp_path) as address,
    ):
        httpx.post(f"http://127.0.0.1:{admin}/quitquitquit", trust_env=False)
        while True:
            try:
                httpx.get(f"{address}/healthz", trust_env=False)
            except httpx.TransportError:
                break
        gateways.time.sleep(0.5)
