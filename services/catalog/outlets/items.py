"""An outlet as a client sends it: in JSON, and as a line of a sheet."""

from datetime import date
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from services.catalog.outlets.domain import Facts, Licence, LicenceKind, Risk
from services.contracts.values import OutletKind, Point
from services.kit.http.sheets import Column, Entry, Form, Sheet, day, number

Word = Annotated[str, Field(min_length=1, max_length=100)]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Body(BaseModel):
    """What is sent: nothing beside what is named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenLicence(Body):
    """A licence; one without an end is long-term."""

    kind: LicenceKind
    number: Word
    valid_to: date | None = None


class GivenOutlet(Body):
    """A shop of the ledger: `capacity_orders` a day, its reserve in persons fed for a day."""

    external_id: Word
    name: Title
    kind: OutletKind
    position: Point
    scale_m2: Annotated[int, Field(ge=0, le=10_000_000)]
    capacity_orders: Count
    reserve_person_days: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    licences: Annotated[list[GivenLicence], Field(max_length=20)] = []
    risk: Risk

    def facts(self) -> Facts:
        """Return what the ledger is to say."""
        licences = tuple(Licence(one.kind, one.number, one.valid_to) for one in self.licences)
        return Facts(**{**dict(self), "licences": licences})


LEDGER = Form(
    item=GivenOutlet,
    columns=(
        Column("external_id", "your own id of the shop, by which it is found again"),
        Column("name", "what the shop is called"),
        Column("kind", f"one of {', '.join(OutletKind)}"),
        Column("lat", "degrees north (WGS 84), as 39.66", ("position", "lat"), number),
        Column("lon", "degrees east (WGS 84), as 116.33", ("position", "lon"), number),
        Column("scale_m2", "selling space in square metres", read=number),
        Column("capacity_orders", "orders that the shop can pick in a day", read=number),
        Column("reserve_person_days", "persons whom its reserve feeds for a day; empty is none", read=number),
        Column("risk", f"one of {', '.join(Risk)}"),
    ),
    lists={
        "licences": tuple(
            Entry(
                columns=(
                    Column(f"{kind}_number", f"its {kind} licence; empty if it has none", ("number",)),
                    Column(
                        f"{kind}_valid_to", "last day, as 2026-12-31; empty is long-term", ("valid_to",), day
                    ),
                ),
                given={"kind": kind},
            )
            for kind in LicenceKind
        )
    },
    example="external_id,name,kind,lat,lon,scale_m2,capacity_orders,risk,business_number,food_number,food_valid_to\n"
    "shop-1,北臧村超市,supermarket,39.66,116.33,800,300,low,91110115MA00,JY11115,2026-12-31\n",
)
LedgerSheet = Annotated[Sheet[GivenOutlet], Depends(LEDGER.receive)]
