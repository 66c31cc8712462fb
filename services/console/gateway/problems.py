"""What the gateway says when it answers by itself: RFC 9457 problems that repeat nothing of the request.

Envoy cannot weigh an `Accept-Language`: whose first language is Chinese is answered in Chinese, anybody
else in English.
"""

import json
from dataclasses import dataclass, field
from typing import Any

SOON = {"retry-after": "1"}
ENGLISH, CHINESE = "en", "zh-CN"
ACCEPTS_CHINESE = {
    "header_filter": {
        "header": {"name": "accept-language", "string_match": {"prefix": "zh", "ignore_case": True}}
    }
}


@dataclass(frozen=True)
class Problem:
    """One answer of the gateway's own, the same for every request that meets it."""

    status: int
    code: str
    titles: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, language: str) -> str:
        """Return the document in a language."""
        document = {
            "type": "about:blank",
            "title": self.titles[language],
            "status": self.status,
            "code": f"gateway.{self.code}",
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _say(english: str, chinese: str) -> dict[str, str]:
    return {CHINESE: chinese, ENGLISH: english}


UNREADABLE = Problem(400, "bad_request", _say("The request cannot be read", "请求无法读取"))
UNAVAILABLE = Problem(
    503, "unavailable", _say("The service cannot be reached", "暂时无法连接服务，请稍后再试"), SOON
)

# By default Envoy names the reason here and repeats the address that was asked for.
UNAUTHENTICATED = Problem(
    401,
    "unauthenticated",
    _say("A valid access token is needed", "请先登录（需要有效的访问令牌）"),
    {"www-authenticate": "Bearer"},
)

PROBLEMS = (
    UNAUTHENTICATED,
    Problem(404, "not_found", _say("Nothing is found here", "未找到相关内容")),
    Problem(408, "timeout", _say("The request did not arrive in time", "请求未能及时送达，请重试")),
    Problem(413, "too_large", _say("The request is too large", "请求内容过大")),
    Problem(429, "too_many_requests", _say("There are too many requests", "请求过于频繁，请稍后再试"), SOON),
    Problem(431, "too_large", _say("The headers of the request are too large", "请求头过大")),
    Problem(504, "timeout", _say("The service did not answer in time", "服务未能及时应答，请稍后再试")),
)


def local_replies() -> dict[str, Any]:
    """Return how Envoy shall word its own answers; what a service answers passes unchanged."""
    listed = [mapper for problem in PROBLEMS for mapper in _mappers("EQ", problem.status, problem)]
    # Envoy's 403 is a token for another audience; the reason shall not show, so it is a 401 like any other.
    listed += _mappers("EQ", 403, UNAUTHENTICATED)
    # Whatever else Envoy may think of becomes the next best of these: no answer is in words of its own.
    return {"mappers": [*listed, *_mappers("GE", 500, UNAVAILABLE), *_mappers("GE", 400, UNREADABLE)]}


def _mappers(operator: str, status: int, problem: Problem) -> list[dict[str, Any]]:
    value = {"default_value": status, "runtime_key": f"gateway.{operator}.{status}"}
    answered = {"status_code_filter": {"comparison": {"op": operator, "value": value}}}
    # The first that fits answers.
    return [
        _mapper({"and_filter": {"filters": [answered, ACCEPTS_CHINESE]}}, problem, CHINESE),
        _mapper(answered, problem, ENGLISH),
    ]


def _mapper(condition: dict[str, Any], problem: Problem, language: str) -> dict[str, Any]:
    told = {**problem.headers, "content-language": language, "vary": "accept-language"}
    return {
        "filter": condition,
        "status_code": problem.status,
        "headers_to_add": [
            {"header": {"key": key, "value": word}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, word in told.items()
        ],
        "body_format_override": {
            "text_format_source": {"inline_string": problem.body(language)},
            "content_type": "application/problem+json",
        },
    }
