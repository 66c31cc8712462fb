"""A real Envoy before four real services that tell what reached them."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.console.gateway import config
from services.console.parts import envoy
from services.console.parts.ports import free_port

SERVICES = ("catalog", "orders", "dispatch", "whitelist")
ISSUER = "https://baton.example/issuer"
AUDIENCE = "baton"

PRIVATE = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def public_jwk(private, **more):
    for kind in (jwt.algorithms.OKPAlgorithm, jwt.algorithms.ECAlgorithm, jwt.algorithms.RSAAlgorithm):
        try:
            return {**kind.to_jwk(private.public_key(), as_dict=True), **more}
        except (TypeError, jwt.InvalidKeyError):
            continue
    raise AssertionError


KEYS = {"keys": [public_jwk(private, kid=algorithm) for algorithm, private in PRIVATE.items()]}


def make_token(*, algorithm="EdDSA", key=None, headers=None, **claims):
    wanted = {"iss": ISSUER, "aud": AUDIENCE, "sub": "tester", "exp": int(time.time()) + 300, **claims}
    kept = {name: value for name, value in wanted.items() if value is not None}
    key = key or PRIVATE[algorithm]
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": algorithm, **(headers or {})})


@dataclass
class Upstreams:
    """Where the services answer, and how often each path was asked for."""

    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: Counter = field(default_factory=Counter)


def _echo(service, upstreams):
    async def app(scope, receive, send):
        query = {name: float(values[0]) for name, values in parse_qs(scope["query_string"].decode()).items()}
        upstreams.asked[scope["path"]] += 1
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        seen = {
            "service": service,
            "method": scope["method"],
            "path": scope["path"],
            "headers": [(name.decode(), value.decode()) for name, value in scope["headers"]],
            "size": size,
        }
        await asyncio.sleep(query.get("wait", 0))
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": int(query.get("status", 200)), "headers": head})
        for _ in range(int(query.get("beats", 0))):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(query["gap"])
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})

    return app


@contextmanager
def serving() -> Iterator[Upstreams]:
    upstreams = Upstreams()
    servers, sockets = [], []
    for service in SERVICES:
        place = socket.create_server(("127.0.0.1", 0))
        upstreams.places[service] = place.getsockname()
        app = _echo(service, upstreams)
        servers.append(uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error")))
        sockets.append(place)

    async def serve():
        pairs = zip(servers, sockets, strict=True)
        await asyncio.gather(*(server.serve([place]) for server, place in pairs))

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield upstreams
    finally:
        for server in servers:
            server.should_exit = server.force_exit = True
        thread.join(timeout=10)
        for place in sockets:
            place.close()


def make_config(table, upstreams, **more):
    wanted = {
        "listen": ("127.0.0.1", free_port()),
        "admin_port": free_port(),
        "upstreams": dict.fromkeys(SERVICES, ("127.0.0.1", 9)) | upstreams,
        "keys": KEYS,
        "issuer": ISSUER,
        "audience": AUDIENCE,
    }
    return config.render(table, **{**wanted, **more})


@contextmanager
def gateway(folder: Path, table, upstreams, **more) -> Iterator[str]:
    with envoy.running(make_config(table, upstreams, **more), folder) as address:
        yield address


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)


def ask(address, path, *, token=None, headers=()) -> Answer:
    """Send what is written, without a client's own ideas of paths and headers."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=15)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        if token is not None:
            connection.putheader("Authorization", f"Bearer {token}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        head = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, head, answer.read())
    finally:
        connection.close()


def send_raw(address, data: bytes, *, within=10.0) -> bytes:
    """Send bytes, then nothing more; return all that comes until the gateway closes."""
    netloc = urlsplit(address).netloc.split(":")
    with socket.create_connection((netloc[0], int(netloc[1])), timeout=within) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received
