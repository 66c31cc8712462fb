"""The services' documents, what was answered within them, and which values of a name are known."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import schemathesis
from schemathesis import Response
from schemathesis.schemas import APIOperation, BaseSchema

from services.console import documents
from services.console.machine.databases import SERVICES

KNOWN_OF_EACH = 12
# What is written under one name and asked for under another.
ALSO = {
    "area_id": ("parent_id", "building_id", "community_id"),
    "person_id": ("giver_id", "taker_id"),
    "household_id": ("taker_id",),
    "outlet_id": ("giver_id",),
}
# Names of values that only make sense where they are found, beside ids.
TEXTS = frozenset({"plu", "external_id", "code", "plate", "number", "building_code", "parent_code", "cursor"})


def read_schemas() -> dict[str, BaseSchema]:
    # A stream goes on for minutes: its own tests read it.
    return {
        service: schemathesis.openapi.from_dict(documents.openapi_of(service)).exclude(path_regex="/events$")
        for service in SERVICES
    }


@dataclass(kw_only=True)
class Book:
    """What is known of a town by what the services answered about it."""

    schemas: dict[str, BaseSchema]
    known: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    answered: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def watch(self, service: str, client: httpx.AsyncClient) -> None:
        """Let every answer that a client gets be held against the document."""
        client.event_hooks["response"].append(partial(self._on_answer, service))

    async def _on_answer(self, service: str, answer: httpx.Response) -> None:
        await answer.aread()
        path = answer.request.url.path
        operation = self.schemas[service].find_operation_by_path(answer.request.method, path)
        assert operation is not None, f"{service} has no {answer.request.method} {path} in its document"
        operation.validate_response(answer)
        self.note(service, operation, answer)

    def note(self, service: str, operation: APIOperation, answer: httpx.Response | Response) -> None:
        """Keep that an operation was answered 2xx, and the ids that the answer names."""
        if 200 <= answer.status_code < 300:
            self.answered[service].add(operation.label)
            if answer.content and "json" in str(answer.headers["content-type"]):
                self._learn(answer.json())

    def unanswered(self, service: str) -> set[str]:
        """Operations of a service that were not answered 2xx."""
        return {each.label for each in operations(self.schemas[service])} - self.answered[service]

    def _learn(self, value: Any) -> None:
        match value:
            case dict():
                for name, inner in value.items():
                    self._keep(name, inner)
                    self._learn(inner)
            case list():
                for inner in value:
                    self._learn(inner)

    def _keep(self, name: str, value: Any) -> None:
        singular = name.removesuffix("s") if name.endswith("_ids") else name
        if not singular.endswith("_id") and singular not in TEXTS:
            return
        for found in value if isinstance(value, list) else [value]:
            for each in (singular, *ALSO.get(singular, ())):
                kept = self.known[each]
                if isinstance(found, str) and found not in kept and len(kept) < KNOWN_OF_EACH:
                    kept.append(found)


def operations(schema: BaseSchema) -> Iterator[APIOperation]:
    return (found.ok() for found in schema.get_all_operations())
