"""Whatever a caller sends, a service answers within its own document and never fails."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis.schemas import APIOperation

from services.console.machine.databases import SERVICES
from services.kit.ids import new_id
from tests.e2e import book, planted, sheets
from tests.e2e.live import make_database, serving_api

EXAMPLES = 12
READ_OF_EACH = 6
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
# The town hall twice: who may do much gets further.
IDENTITIES = st.sampled_from(["hall", "hall", "home and shop", "driver", "nobody"])
BOOK = book.Book(schemas=book.read_schemas())


@dataclass(frozen=True)
class Live:
    """The services of a planted town, and who calls them."""

    addresses: dict[str, str]
    identities: dict[str, dict[str, str]]

    def call(self, service: str, case: schemathesis.Case, identity: str) -> schemathesis.Response:
        """Send a request and hold the answer against the document."""
        head = dict(self.identities[identity])
        # A caller who sends a key gets further than one who does not; what he wrote himself stays.
        if case.method == "POST":
            head["idempotency-key"] = str(new_id())
        return case.call_and_validate(base_url=self.addresses[service], headers=head, checks=CHECKS)


@pytest.fixture(scope="module")
def live(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with ExitStack() as stack:
        folder: Path = tmp_path_factory.mktemp("keys")
        urls = {service: make_database(service, postgres) for service in SERVICES}
        identities = planted.plant(urls, folder, BOOK)
        yield Live(
            {
                service: stack.enter_context(serving_api(service, urls[service], folder))
                for service in SERVICES
            },
            identities,
        )


def with_known(value: Any, names: frozenset[str] = frozenset()) -> SearchStrategy[Any]:
    """Return what was generated, half of its ids being such as there are in the town."""
    match value:
        case dict():
            parts = {
                name: with_known(inner, frozenset({name, _singular(name)})) for name, inner in value.items()
            }
            return st.fixed_dictionaries(parts)
        case list():
            return st.tuples(*(with_known(inner, names) for inner in value)).map(list)
    found = [each for name in sorted(names) for each in BOOK.known.get(name, ())]
    if not found:
        return st.just(value)
    return st.sampled_from([True, False]).flatmap(
        lambda is_known: st.sampled_from(found if is_known else [value])
    )


def _singular(name: str) -> str:
    return name.removesuffix("s") if name.endswith("_ids") else name


for _schema in BOOK.schemas.values():
    for _part in ("path_parameters", "query", "body"):
        _schema.hooks.register_hook_with_name(lambda _context, value: with_known(value), f"flatmap_{_part}")
    _schema.hooks.register_hook_with_name(partial(sheets.instead_of_text, BOOK.known), "before_generate_body")


@pytest.mark.parametrize("service", SERVICES)
def test_everything_that_is_offered_succeeds_in_a_town_that_has_some_of_everything(
    service: str, live: Live
) -> None:
    for operation in book.operations(BOOK.schemas[service]):
        if operation.method == "get":
            read(service, operation, live)
    assert BOOK.unanswered(service) == set()


def read(service: str, operation: APIOperation, live: Live) -> None:
    """Read whatever of it is known as everybody: with all that may be asked, and then page by page."""
    names = [parameter.name for parameter in operation.path_parameters]
    asked = [parameter.name for parameter in operation.query]
    for values in product(*(BOOK.known[name][:READ_OF_EACH] for name in names)):
        for query in queries(operation, asked):
            for identity in ("hall", "home and shop", "driver", "nobody"):
                case = operation.Case(path_parameters=dict(zip(names, values, strict=True)), query=query)
                # Learnt here alone: what is generated later must not depend on what was answered before.
                BOOK.note(service, operation, live.call(service, case, identity))


def queries(operation: APIOperation, asked: list[str]) -> Iterator[dict[str, Any]]:
    required = {parameter.name for parameter in operation.query if parameter.is_required}
    known = {name: BOOK.known[name][:READ_OF_EACH] for name in asked if name.endswith("_id")}
    plain = {"purpose": "care"} if "purpose" in asked else {}
    if not required & known.keys():
        yield plain
    for name, values in known.items():
        for value in values:
            yield {name: value}
    if "limit" in asked:
        yield {"limit": 1}
        yield from ({"limit": 1, "cursor": cursor} for cursor in BOOK.known["cursor"][:READ_OF_EACH])


def explore(service: str) -> Any:
    @BOOK.schemas[service].parametrize()
    @BOOK.schemas[service].given(identity=IDENTITIES)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        # What the documents show is sent where the town is planted: it has no place for an identity.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    def test(case: schemathesis.Case, identity: str, live: Live) -> None:
        live.call(service, case, identity)

    return test


test_catalog_keeps_to_its_document = explore("catalog")
test_orders_keeps_to_its_document = explore("orders")
test_dispatch_keeps_to_its_document = explore("dispatch")
test_whitelist_keeps_to_its_document = explore("whitelist")
