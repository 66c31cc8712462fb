"""Which request or event the present work answers: told on to every event and every line of the log."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from services.kit.ids import new_id

_of_keys: ContextVar[Mapping[str, str]] = ContextVar("correlation_of_keys")
_of_request: ContextVar[str] = ContextVar("correlation_of_request")


@contextmanager
def bind(of_keys: Mapping[str, str]) -> Iterator[None]:
    """Let a batch's work know the origin of each key; an answer has the key of its question."""
    token = _of_keys.set(of_keys)
    try:
        yield
    finally:
        _of_keys.reset(token)


@contextmanager
def bind_request(correlation_id: str) -> Iterator[None]:
    """Let everything done for one request carry its id."""
    token = _of_request.set(correlation_id)
    try:
        yield
    finally:
        _of_request.reset(token)


def of(key: str) -> str:
    """Return the origin of what is done for `key`: its event's, else the request's, else a fresh one."""
    return _of_keys.get({}).get(key) or current()


def current() -> str:
    """Return the request's id, or a fresh one where nobody asked (a timer's work)."""
    return _of_request.get("") or str(new_id())


def bound() -> str | None:
    """Return the request's id, or None where nobody asked."""
    return _of_request.get("") or None
