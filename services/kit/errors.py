"""What can be refused, by who acts next; each carries its code and its facts, and knows no protocol.

Problem
├── Rejected      the caller changes the request          422
├── Unreadable    the caller sends what can be read       400
├── Forbidden     another caller may                      403
├── NotFound      there is no such thing for this caller  404
├── Conflict      the caller looks again, then decides    409
├── Stale         the caller reads anew (If-Match)        412
└── Unavailable   the caller waits                        503
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason of a refusal: where in the request (RFC 6901), which code, the facts; never the input."""

    pointer: str
    code: str
    params: Mapping[str, object] = field(default_factory=dict)


class Problem(Exception):
    """A refusal; `code` is stable (`<service>.<snake>`), `title` an English sentence, one for each code."""

    def __init__(
        self,
        code: str,
        title: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.faults = tuple(faults)
        self.retry_after = retry_after


class Rejected(Problem):
    """The request is understood and cannot be granted as it is; every failing item is named."""


class Unreadable(Problem):
    """The request cannot be read, or lacks what every such request has."""


class Forbidden(Problem):
    """The caller is known and may not."""


class NotFound(Problem):
    """There is no such thing, or none that this caller may know of."""


class Conflict(Problem):
    """The thing is in a state in which this cannot be done."""


class Stale(Problem):
    """The thing has changed since the caller read it."""


class Unavailable(Problem):
    """It cannot be done now; the same request may succeed later."""
