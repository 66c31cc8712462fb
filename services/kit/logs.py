"""Structured logs: one JSON object a line, a constant `noun.participle` and its facts as keywords."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from services.kit import correlation


def configure(*, service: str, process: str) -> None:
    """Write to standard output from now on; to be called once, by a process's entry point."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_correlation,
            # Names and places of an error, never its message: that may repeat what a resident wrote.
            structlog.processors.JSONRenderer(serializer=_write),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, process=process)
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")


def _add_correlation(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if bound := correlation.bound():
        event.setdefault("correlation_id", bound)
    return event


def _write(event: structlog.typing.EventDict, *, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(event, default, orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # An endless number, half a character: whatever it is, its line is written.
        return json.dumps(event, default=default, sort_keys=True).encode()
