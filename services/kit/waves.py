"""A mixed batch, cut so that handlers get many events at once and no key is overtaken."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from services.kit.bus.records import Received


def waves(batch: Iterable[Received]) -> list[list[Received]]:
    """Return wave n holding the n-th event of each (topic, key), in the order they came."""
    cut: list[list[Received]] = []
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    for received in batch:
        place = seen[received.topic, received.key]
        seen[received.topic, received.key] += 1
        if place == len(cut):
            cut.append([])
        cut[place].append(received)
    return cut


def by_name(wave: Sequence[Received]) -> dict[str, list[Received]]:
    """Return a wave's events by their wire name; no two of a wave share a key, so none is overtaken."""
    types: defaultdict[str, list[Received]] = defaultdict(list)
    for received in wave:
        types[received.name].append(received)
    return dict(types)
