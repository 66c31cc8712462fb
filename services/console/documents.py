"""What the interfaces promise, as documents: OpenAPI for each service, AsyncAPI for the events."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from services.console.machine.databases import SERVICES
from services.contracts import examples, registry
from services.kit.event import Event
from services.kit.http import application
from services.kit.settings import ServiceSettings

# Documents say nothing of a machine: what is never connected to may stand here.
NOWHERE = {
    "database_url": "postgresql://nowhere/none",
    "bus_url": "postgresql://nowhere/none",
    "token_keys": Path("jwks.json"),
    "master_key": Path("master.key"),
}


def write(folder: Path) -> None:
    """Write every document under `folder`."""
    for path, content in _made(folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def find_drift(folder: Path) -> list[Path]:
    """Return the documents that are not what the code says."""
    return [
        path for path, content in _made(folder).items() if not path.exists() or path.read_text() != content
    ]


def openapi_of(service: str) -> dict[str, Any]:
    """Return a service's OpenAPI document."""
    settings: ServiceSettings = getattr(
        import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )(**NOWHERE)
    app = import_module(f"services.{service}.main").create_app(settings)
    return application.document(app)


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of all events, with an example of each."""
    kinds = registry.events()
    topics = sorted({kind.topic for kind in kinds.values()})
    schemas: dict[str, Any] = {}
    messages = {name: _message(kind, schemas) for name, kind in kinds.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Baton: what the services say to each other",
            "version": "1",
            "description": "CloudEvents 1.0 in Kafka's binary mode; the key is the id of the producer's row,"
            " and `ce_sequence` counts 1, 2, 3… within a topic and key.",
        },
        "defaultContentType": "application/json",
        "channels": {
            topic: {
                "address": topic,
                "description": f"Owned by {topic}, its one producer; 12 partitions by key.",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"}
                    for name, kind in kinds.items()
                    if kind.topic == topic
                },
            }
            for topic in topics
        },
        "operations": {
            f"{topic}_says": {"action": "send", "channel": {"$ref": f"#/channels/{topic}"}}
            for topic in topics
        },
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _message(kind: type[Event], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    example = examples.EXAMPLES[kind.name]
    headers = {
        "ce_id": "string",
        "ce_type": "string",
        "ce_source": "string",
        "ce_time": "string",
        "ce_sequence": "string",
    }
    return {
        "name": kind.name,
        "summary": (kind.__doc__ or "").split("\n")[0],
        "headers": {
            "type": "object",
            "properties": {name: {"type": kind_} for name, kind_ in headers.items()},
        },
        "payload": schema,
        "examples": [{"payload": example.model_dump(mode="json")}],
    }


def _made(folder: Path) -> Mapping[Path, str]:
    made = {
        folder / "openapi" / f"{service}.json": json.dumps(openapi_of(service), indent=1, ensure_ascii=False)
        + "\n"
        for service in SERVICES
    }
    made[folder / "asyncapi.yaml"] = yaml.safe_dump(
        asyncapi(), allow_unicode=True, sort_keys=False, width=110
    )
    return made
