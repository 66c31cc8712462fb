"""What the register's routes read and show."""

from base64 import b64encode
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.orders import AreaLevel
from services.contracts.values import Point, ZoneClass
from services.kit.http.problems import FaultView
from services.orders.register.planting import Outcome
from services.orders.register.tables import AreaRow, CertificateRow, HouseholdRow

Name = Annotated[str, Field(min_length=1, max_length=100)]
Code = Annotated[str, Field(min_length=1, max_length=64)]


class Body(BaseModel):
    """What is asked: nothing beside the fields named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Purpose(StrEnum):
    """What a household's personal data is read for."""

    OWN_DATA = "own_data"
    DELIVERY = "delivery"
    CARE = "care"


class PlantArea(Body):
    """An area under its code; the parent stands already or comes in the same batch."""

    code: Code
    title: Name
    level: AreaLevel
    parent_code: Code | None = None
    gate: Point | None = None
    head_count: Annotated[int, Field(ge=0, le=100_000_000)] = 0


class PlantAreas(Body):
    """Areas in any order."""

    areas: Annotated[list[PlantArea], Field(min_length=1, max_length=500)]


class Contact(Body):
    """Who to ask for; kept sealed."""

    name: Name
    phone: Annotated[str, Field(min_length=3, max_length=32)]


class RegisterHousehold(Body):
    """A household in a building, named by its id or its code."""

    external_id: Code
    building_id: UUID | None = None
    building_code: Code | None = None
    unit: Annotated[str, Field(min_length=1, max_length=50)]
    persons: Annotated[int, Field(ge=1, le=100)]
    contact: Contact


class RegisterHouseholds(Body):
    """Households in any order."""

    households: Annotated[list[RegisterHousehold], Field(min_length=1, max_length=500)]


class AreaItem(BaseModel):
    """What became of one area."""

    index: int
    code: str
    area_id: UUID | None
    outcome: Outcome
    errors: list[FaultView]


class AreaItems(BaseModel):
    """What became of each area, in the order given."""

    items: list[AreaItem]


class HouseholdItem(BaseModel):
    """What became of one household."""

    index: int
    external_id: str
    household_id: UUID | None
    outcome: Outcome
    errors: list[FaultView]


class HouseholdItems(BaseModel):
    """What became of each household, in the order given."""

    items: list[HouseholdItem]


class AreaView(BaseModel):
    """An area of the tree; the regime is its own, a child's overrides its parent's."""

    area_id: UUID
    code: str
    title: str
    level: AreaLevel
    parent_id: UUID | None
    path: list[UUID]
    gate: Point | None
    head_count: int
    zone_class: ZoneClass | None

    @classmethod
    def of(cls, area: AreaRow) -> "AreaView":
        """Show a row."""
        return cls(
            **{name: getattr(area, name) for name in ("area_id", "code", "title", "parent_id", "path")},
            level=AreaLevel(area.level),
            gate=area.gate,
            head_count=area.head_count,
            zone_class=area.own_class,
        )


class HouseholdListed(BaseModel):
    """A household without what names it."""

    household_id: UUID
    external_id: str
    building_id: UUID
    community_id: UUID
    persons: int
    erased_at: datetime | None

    @classmethod
    def of(cls, household: HouseholdRow) -> "HouseholdListed":
        """Show a row."""
        return cls(**{name: getattr(household, name) for name in HouseholdListed.model_fields})


class HouseholdView(HouseholdListed):
    """A household with what names it; both are None once it was erased."""

    unit: str | None
    contact: Contact | None


class CertificateView(BaseModel):
    """What was destroyed; signature (Ed25519, of the statement's bytes) and key in base64."""

    certificate_id: UUID
    scope_id: UUID
    statement: str
    signature: str
    public_key: str
    issued_at: datetime

    @classmethod
    def of(cls, row: CertificateRow) -> "CertificateView":
        """Show a row."""
        return cls(
            certificate_id=row.certificate_id,
            scope_id=row.scope_id,
            statement=row.statement,
            signature=b64encode(row.signature).decode(),
            public_key=b64encode(row.public_key).decode(),
            issued_at=row.issued_at,
        )
