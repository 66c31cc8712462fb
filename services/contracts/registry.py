"""Every event by its wire name: what the documents list, and what a test holds against the examples."""

from collections.abc import Iterable, Mapping

from services.contracts import catalog, dispatch, orders, whitelist
from services.kit.event import Event

MODULES = (catalog, orders, dispatch, whitelist)


def events() -> Mapping[str, type[Event]]:
    """Return each event by its wire name, in the order of the modules."""
    found = [kind for module in MODULES for kind in _events_of(vars(module).values())]
    return {kind.name: kind for kind in found}


def _events_of(values: Iterable[object]) -> Iterable[type[Event]]:
    for value in values:
        # A base that several events share has a topic but no name of its own, and is none.
        if isinstance(value, type) and issubclass(value, Event) and "name" in vars(value):
            yield value
