"""What the interface document promises: refusals of one form on every route, and none of the framework's."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from services.kit.http import application
from services.kit.settings import ServiceSettings
from tests.kit import lamps as lamps_face
from tests.serving import make_settings


def document_of(service: str, folder: Path) -> dict:
    if service == "lamps":
        return application.document(
            lamps_face.create_app(make_settings(ServiceSettings, folder, "postgresql://nowhere"))
        )
    settings = getattr(import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings")
    main = import_module(f"services.{service}.main")
    return application.document(main.create_app(make_settings(settings, folder, "postgresql://nowhere")))


@pytest.mark.parametrize("service", ["lamps", "catalog", "orders", "dispatch", "whitelist"])
def test_every_route_refuses_with_a_problem_and_needs_a_token(service: str, tmp_path: Path) -> None:
    document = document_of(service, tmp_path)
    written = json.dumps(document)
    assert "HTTPValidationError" not in written
    assert "ValidationError" not in document["components"]["schemas"]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    for path, operations in document["paths"].items():
        assert path.startswith("/v1/")
        for operation in operations.values():
            assert operation["responses"]["4XX"]["content"] == problem, path
            assert operation["responses"]["5XX"]["content"] == problem, path
            assert "422" not in operation["responses"]
            assert operation["security"] == [{"HTTPBearer": []}], path


def test_a_route_that_has_its_effect_once_says_which_header_it_needs(tmp_path: Path) -> None:
    operation = document_of("lamps", tmp_path)["paths"]["/v1/lamps"]["post"]
    (header,) = [one for one in operation["parameters"] if one["in"] == "header"]
    assert (header["name"], header["required"]) == ("idempotency-key", True)
    assert header["schema"] == {"type": "string", "minLength": 1, "maxLength": 200}
    created = operation["responses"]["201"]["content"]["application/json"]["schema"]
    assert created == {"$ref": "#/components/schemas/LampView"}


def test_every_name_that_is_referred_to_is_there(tmp_path: Path) -> None:
    document = document_of("lamps", tmp_path)
    written = json.dumps(document)
    for reference in {part.split('"')[0] for part in written.split("#/components/schemas/")[1:]}:
        assert reference in document["components"]["schemas"]
