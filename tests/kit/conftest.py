"""One Kafka for the run."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.console.parts import kafka as kafka_part


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of a broker: `KAFKA_BOOTSTRAP`, or one of this run; skips where Kafka's jars cannot be had."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        yield given
        return
    try:
        kafka_part.find_jars()
    except kafka_part.JarsUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Kafka's jars cannot be had here, its tests are left out: {error}")
    with (
        tempfile.TemporaryDirectory(prefix="baton-kafka-") as folder,
        kafka_part.running(Path(folder)) as address,
    ):
        yield address
