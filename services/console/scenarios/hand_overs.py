"""Hand-overs as devices note them: labels scanned, PINs told, bags photographed, logs sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from services.console.scenarios.case import Item
from services.console.scenarios.town import SetUpFailed, Town, each
from services.console.scenarios.voices import Voice
from services.contracts.access import Role
from services.contracts.dispatch import Leg
from services.kit.ids import new_id

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Passing:
    """Units that pass from one to another on a leg."""

    leg: Leg
    giver: str
    taker: str


def note_all(units: Iterable[Item], passing: Passing, labels: Labels) -> list[Item]:
    """Note the hand-over of each unit, its label scanned."""
    return [_note(unit, passing, {"kind": "qr", "value": labels[unit["load_unit_id"]]}) for unit in units]


async def note_door(
    town: Town, units: Sequence[Item], passing: Passing, labels: Labels, *, portion: Item | None
) -> list[Item]:
    """Note a portion's hand-over at its door: by the PIN if somebody answers, else by scan and picture.

    `portion` is of the order and load that the household is asked for; None: nobody answers.
    """
    if portion is not None:
        proof = await _ask_pin(town, portion, passing.taker)
        return [_note(unit, passing, proof) for unit in units]
    notes = note_all(units, passing, labels)
    for note in notes:
        note["proof"]["photo_sha256"] = sha256(note["hand_over_id"].encode()).hexdigest()
    return notes


async def send(voice: Voice, log: Sequence[Item]) -> int:
    """Send the log of a device; a hand-over that is refused or a breach is a defect of the play."""
    for answer in await voice.import_all("/v1/hand-overs", "hand_overs", log):
        if answer["outcome"] == "refused" or answer["is_breach"]:
            raise SetUpFailed(f"a hand-over was not taken as it should be: {answer}")
    return len(log)


async def read_labels(units: Iterable[tuple[Voice, Item]]) -> dict[str, str]:
    """Let whoever packs print its labels: the text of each unit's QR code."""
    asked = [(voice, unit["load_unit_id"]) for voice, unit in units]
    texts = await each(asked, lambda unit: unit[0].get(f"/v1/load-units/{unit[1]}/label"))
    return {unit_id: label["text"] for (_, unit_id), label in zip(asked, texts, strict=True)}


async def _ask_pin(town: Town, portion: Item, household_id: str) -> Item:
    """Let the household look up its PIN, as the proof that it tells the steward."""
    resident = town.voices.of(Role.RESIDENT, household_id=household_id)
    portions = (await resident.get("/v1/portions", order_id=portion["order_id"]))["items"]
    pins = {seen["load_id"]: seen["pin"] for seen in portions}
    return {"kind": "pin", "value": pins[portion["load_id"]]}


def _note(unit: Item, passing: Passing, proof: Item) -> Item:
    return {
        "hand_over_id": str(new_id()),
        "load_unit_id": unit["load_unit_id"],
        "leg": int(passing.leg),
        "giver_id": passing.giver,
        "taker_id": passing.taker,
        "occurred_at": datetime.now(UTC).isoformat(),
        "proof": dict(proof),
    }
