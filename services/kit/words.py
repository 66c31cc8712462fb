"""What a refusal says to a person: one sentence for each code, in every language that is spoken here."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from string import Formatter
from typing import Any, Final

import yaml

# The town's clock: a cut-off is read beside the one on the wall.
TOWN: Final = timezone(timedelta(hours=8))
RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


class Language(StrEnum):
    """A language, by the name of its sentences; the first is spoken to whoever asks for neither."""

    ENGLISH = "en"
    CHINESE = "zh"

    @property
    def tag(self) -> str:
        """Return what `Content-Language` says."""
        return "zh-CN" if self is Language.CHINESE else "en"


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a code, the same every time, and the whole with its facts, for where each is known."""

    words: str
    whole: str | None = None


Words = Mapping[str, Mapping[Language, Sentence]]


@dataclass(slots=True)
class Speech:
    """How one request is spoken to, and whether it was."""

    words: Words
    language: Language
    has_spoken: bool = False


_SPEECH: ContextVar[Speech | None] = ContextVar("speech", default=None)


@cache
def load(*packages: str) -> Words:
    """Return the sentences of the `words.yaml` of each package, the kit's among them."""
    found: dict[str, Mapping[Language, Sentence]] = {}
    for package in ("services.kit", *packages):
        written = files(package).joinpath("words.yaml").read_text(encoding="utf-8")
        listed = yaml.load(written, yaml.CSafeLoader)
        for code, said in listed.items():
            found[code] = {each: _read(said, each) for each in Language}
    return found


@lru_cache(maxsize=1024)
def choose(accept_language: str) -> Language:
    """Return the language that an `Accept-Language` likes best; of equals, the one it names first."""
    wanted: dict[str, float] = {}
    for each in accept_language.split(","):
        if read := RANGE.fullmatch(each):
            name = read[1].lower()
            wanted[name] = max(wanted.get(name, 0), float(read[2] or 1))
    order = list(wanted)

    def liking(language: Language) -> tuple[float, int]:
        name = language.value if language.value in wanted else "*"
        return (wanted[name], -order.index(name)) if name in wanted else (0, 0)

    best = max(Language, key=liking)
    return best if liking(best)[0] > 0 else Language.ENGLISH


@contextmanager
def speak(words: Words, accept_language: str) -> Iterator[Speech]:
    """Let what is said inside be said in the caller's language."""
    speech = Speech(words, choose(accept_language))
    token = _SPEECH.set(speech)
    try:
        yield speech
    finally:
        _SPEECH.reset(token)


def title(code: str, *, otherwise: str) -> str:
    """Return the sentence of a code; `otherwise` where none is written."""
    sentence = _find(code)
    return sentence.words if sentence else otherwise


def detail(code: str, params: Mapping[str, Any]) -> str:
    """Return the sentence of a code with its facts; they are left out where one of them is not known."""
    sentence = _find(code) or _find("kit.refused")
    assert sentence is not None  # noqa: S101 - the kit's own words have it
    if sentence.whole is None or any(params.get(name) is None for name in names_in(sentence.whole)):
        return sentence.words
    return _FACTS.vformat(sentence.whole, (), params)


def names_in(template: str) -> set[str]:
    """Return which facts a sentence needs."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def _read(said: Mapping[str, Any], language: Language) -> Sentence:
    words = said[language]
    if "facts" not in said:
        return Sentence(words)
    mark = "：" if language is Language.CHINESE else ": "
    return Sentence(words, f"{words}{mark}{said['facts'][language]}")


def _find(code: str) -> Sentence | None:
    speech = _SPEECH.get()
    if speech is None:
        spoken = load().get(code)
        return spoken[Language.ENGLISH] if spoken else None
    speech.has_spoken = True
    spoken = speech.words.get(code)
    return spoken[speech.language] if spoken else None


class _Facts(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        match format_spec:
            case "yuan":
                return f"{value / 100:.2f}"
            case "time":
                moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
                return f"{moment.astimezone(TOWN):%Y-%m-%d %H:%M} UTC+8"
            case "list":
                return ", ".join(map(str, value))
        return str(value)


_FACTS: Final = _Facts()
