"""Which bus an address means."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import Bus

FORMS: Final = (
    "kafka://host:port[,host:port][?member=name&replicas=3] or postgresql://user@host:port/database"
)


def bus_from(url: str) -> Bus:
    """Return the bus at `url`; nothing connects yet; raise `ValueError` for any other form."""
    scheme, _, rest = url.partition("://")
    match scheme:
        case "postgresql" if rest:
            return PostgresBus(url)
        case "kafka" if rest:
            return _kafka_from(url)
        case _:
            # The address itself is not repeated: it may hold a password.
            raise ValueError(f"the bus is addressed by {FORMS}, not by {scheme.split(':')[0]!r}")


def _kafka_from(url: str) -> Bus:
    from services.kit.bus.kafka import KafkaBus  # noqa: PLC0415 - its client is megabytes, and not every bus is Kafka

    parts = urlsplit(url)
    hosts = parts.netloc.split(",")
    options = {
        name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()
    }
    if (
        not all(_is_host(host) for host in hosts)
        or parts.path.strip("/")
        or options.keys() - {"member", "replicas"}
    ):
        raise ValueError(f"Kafka is addressed by {FORMS}")
    return KafkaBus(parts.netloc, member=options.get("member"), replicas=int(options.get("replicas", "1")))


def _is_host(host: str) -> bool:
    name, colon, port = host.rpartition(":")
    return bool(name and colon and port.isdecimal())
