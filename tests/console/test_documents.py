import re
from pathlib import Path

import pytest

from services.console import documents
from services.console.gateway import table
from services.console.machine.databases import SERVICES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documents_say_what_the_code_says() -> None:
    assert documents.find_drift(DOCS) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_path_of_a_service_is_reached_through_the_gateway(service: str) -> None:
    rows = [(re.compile(re.sub(r"\{id\}", "[^/]+", row.path) + "(/|$)"), row) for row in table.load().routes]

    def goes_to(path: str) -> str | None:
        return next((row.service for pattern, row in rows if pattern.match(path)), None)

    paths = documents.openapi_of(service)["paths"]
    assert len(paths) > 5
    assert {path: goes_to(path) for path in paths if goes_to(path) != service} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_every_refusal_is_documented_as_a_problem(service: str) -> None:
    document = documents.openapi_of(service)
    assert "ProblemView" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status in ("4XX", "5XX"):
                assert "application/problem+json" in operation["responses"][status]["content"], (path, method)
