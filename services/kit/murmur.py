"""MurmurHash2 as Kafka's own clients reckon it: to ask for a partition is no reason to load a client."""

from struct import unpack_from

MASK = 0xFFFFFFFF
MIX = 0x5BD1E995
SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the hash of `data`, 32 bits without a sign."""
    length = len(data)
    whole = length // 4
    found = SEED ^ length
    for word in unpack_from(f"<{whole}I", data):
        mixed = word * MIX & MASK
        mixed = (mixed ^ mixed >> 24) * MIX & MASK
        found = found * MIX & MASK ^ mixed
    if rest := data[whole * 4 :]:
        found = (found ^ int.from_bytes(rest, "little")) * MIX & MASK
    found = (found ^ found >> 13) * MIX & MASK
    return found ^ found >> 15
