"""The rows of dispatch have a registry of their own: another service's table may have the same name."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import registry
from sqlmodel import SQLModel


class Row(SQLModel, registry=registry()):
    """What every table class of dispatch is; it describes a row and validates nothing."""


def to_json(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as `jsonb_to_recordset` reads them; ids and moments as their texts."""
    return json.dumps(rows, default=str, ensure_ascii=False)
