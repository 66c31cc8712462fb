"""Whatever a caller sends, a service answers within its own document and never fails."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from services.console import documents
from services.console.machine.databases import SERVICES
from services.contracts.access import Role
from services.kit.ids import new_id
from tests import serving
from tests.e2e.live import serving_api

EXAMPLES = 25
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
SCHEMAS = {service: schemathesis.openapi.from_dict(documents.openapi_of(service)) for service in SERVICES}


@pytest.fixture(scope="session")
def addresses(postgres: str, tmp_path_factory) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        folder: Path = tmp_path_factory.mktemp("keys")
        yield {service: stack.enter_context(serving_api(service, postgres, folder)) for service in SERVICES}


def check_answers(service: str, case: schemathesis.Case, addresses: dict[str, str]) -> None:
    area = new_id()
    head = serving.headers(*Role, household_id=area, outlet_id=area, zone_ids=[area])
    # A caller who sends a key gets further than one who does not; what he wrote himself stays.
    if case.method == "POST":
        head["idempotency-key"] = str(new_id())
    case.call_and_validate(base_url=addresses[service], headers=head, checks=CHECKS)


def explore(service: str):
    @SCHEMAS[service].parametrize()
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    def test(case: schemathesis.Case, addresses: dict[str, str]) -> None:
        check_answers(service, case, addresses)

    return test


test_catalog_keeps_to_its_document = explore("catalog")
test_orders_keeps_to_its_document = explore("orders")
test_dispatch_keeps_to_its_document = explore("dispatch")
test_whitelist_keeps_to_its_document = explore("whitelist")
