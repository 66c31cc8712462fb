"""What the gateway says when it answers by itself: RFC 9457 problems that repeat nothing of the request."""

import json
from dataclasses import dataclass, field
from typing import Any

SOON = {"retry-after": "1"}


@dataclass(frozen=True)
class Problem:
    """One answer of the gateway's own, the same for every request that meets it."""

    status: int
    code: str
    title: str
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> str:
        """Return the document."""
        document = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": f"gateway.{self.code}",
        }
        return json.dumps(document, separators=(",", ":"))


UNREADABLE = Problem(400, "bad_request", "The request cannot be read")
UNAVAILABLE = Problem(503, "unavailable", "The service cannot be reached", SOON)

# By default Envoy names the reason here and repeats the address that was asked for.
UNAUTHENTICATED = Problem(
    401, "unauthenticated", "A valid access token is needed", {"www-authenticate": "Bearer"}
)

PROBLEMS = (
    UNAUTHENTICATED,
    Problem(404, "not_found", "Nothing is found here"),
    Problem(408, "timeout", "The request did not arrive in time"),
    Problem(413, "too_large", "The request is too large"),
    Problem(429, "too_many_requests", "There are too many requests", SOON),
    Problem(431, "too_large", "The headers of the request are too large"),
    Problem(504, "timeout", "The service did not answer in time"),
)


def local_replies() -> dict[str, Any]:
    """Return how Envoy shall word its own answers; what a service answers passes unchanged."""
    listed = [_mapper("EQ", problem.status, problem) for problem in PROBLEMS]
    # Envoy's 403 is a token for another audience; the reason shall not show, so it is a 401 like any other.
    listed.append(_mapper("EQ", 403, UNAUTHENTICATED))
    # Whatever else Envoy may think of becomes the next best of these: no answer is in words of its own.
    return {"mappers": [*listed, _mapper("GE", 500, UNAVAILABLE), _mapper("GE", 400, UNREADABLE)]}


def _mapper(operator: str, status: int, problem: Problem) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"gateway.{operator}.{status}"}
    return {
        "filter": {"status_code_filter": {"comparison": {"op": operator, "value": value}}},
        "status_code": problem.status,
        "headers_to_add": [
            {"header": {"key": key, "value": word}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, word in problem.headers.items()
        ],
        "body_format_override": {
            "text_format_source": {"inline_string": problem.body()},
            "content_type": "application/problem+json",
        },
    }
