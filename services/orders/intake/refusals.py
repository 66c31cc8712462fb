"""Why an order is not accepted, as it is told to whoever asked."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.kit import errors
from services.kit.errors import Fault

# What is full now may have room again when someone takes an order back.
ASK_AGAIN_SECONDS: Final = 60

TITLES: Final[Mapping[str, str]] = {
    "orders.household_unknown": "No such household is in the register",
    "orders.slot_unknown": "The household's zone has no such slot",
    "orders.channels_closed": "The zone takes no orders now",
    "orders.zone_closed": "The zone is closed and takes no more orders",
    "orders.slot_closed": "The slot's cut-off has passed",
    "orders.slot_full": "The slot is full",
    "orders.quota_exceeded": "The household's quota does not allow so much",
    "orders.product_twice": "A product stands in more than one line",
    "orders.group_closed": "The group takes no more parts",
    "orders.already_in_group": "The household has a part in this group already",
    "orders.not_in_community": "The group is of another community",
    "orders.substitutes_in_group": "A part of a group takes no substitutes",
}


class OrderRejected(errors.Rejected):
    """The order cannot be accepted; its code is that of its reasons where they are all of one kind."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        codes = {fault.code for fault in faults}
        code = codes.pop() if len(codes) == 1 else "orders.order_rejected"
        super().__init__(
            code,
            TITLES.get(code, "The order cannot be accepted as it is"),
            faults=faults,
            retry_after=ASK_AGAIN_SECONDS if code == "orders.slot_full" else None,
        )


class ExternalIdTaken(errors.Conflict):
    """The client has used its own name for another order."""

    def __init__(self) -> None:
        code = "orders.external_id_taken"
        super().__init__(code, "This external_id is another order's", faults=[Fault("/external_id", code)])


class ExternalIdInFlight(errors.Conflict):
    """An order of the same name is being worked on."""

    def __init__(self) -> None:
        super().__init__(
            "orders.external_id_in_flight", "An order of this external_id is being worked on", retry_after=1
        )
