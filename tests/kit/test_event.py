import pytest
from pydantic import ValidationError

from services.kit.ids import new_id
from tests.builders import LampLit


def test_an_event_cannot_be_changed_after_it_is_made() -> None:
    event = LampLit(lamp_id=new_id())
    with pytest.raises(ValidationError, match="frozen"):
        event.lamp_id = new_id()


def test_a_field_the_reader_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="colour"):
        LampLit.model_validate({"lamp_id": str(new_id()), "colour": "red"})


def test_an_event_survives_the_wire() -> None:
    event = LampLit(lamp_id=new_id())
    assert LampLit.model_validate_json(event.model_dump_json()) == event


def test_ids_made_later_sort_later() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {made.version for made in ids} == {7}
