"""A line is one JSON object, whatever its facts are."""

import json
import subprocess
import sys

WRITE = """
import structlog
from services.contracts.access import Role
from services.kit import logs
logs.configure(service="lamps", process="api")
structlog.get_logger().info("lamp.lit", counts={Role.DRIVER: 1}, endless=2**80, half="\\ud800", of={3})
"""


def test_a_line_has_its_facts_even_those_that_the_fast_writer_refuses() -> None:
    done = subprocess.run([sys.executable, "-c", WRITE], capture_output=True, text=True, check=True)
    line = json.loads(done.stdout)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lamp.lit", "level": "info", "service": "lamps", "process": "api",
        "counts": {"driver": 1}, "endless": 2**80, "half": "\ud800", "of": "{3}",
    }  # fmt: skip
