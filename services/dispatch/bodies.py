"""What the bodies of several nouns are made of."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.kit.errors import Fault
from services.kit.http.problems import FaultView

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

# Within these two, no zone's offset can carry a moment out of what a column holds.
Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
Outcome = Literal["created", "updated", "unchanged", "refused"]
LARGEST_BATCH: Final = 500


class Body(BaseModel):
    """A part of a request: closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ItemView(BaseModel):
    """What became of one item of an import; a noun adds the id of what it made."""

    index: int
    outcome: Outcome
    errors: list[FaultView] = []


def fault_view(fault: Fault) -> FaultView:
    """Return a reason as it is answered."""
    return FaultView(pointer=fault.pointer, code=fault.code, params=dict(fault.params))
