"""The language of the search box: ``status:failed type:CSV_EXPORT since:1h report`` to a filter, and back."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import MAX_SEARCH, Search
from jobplatform.states import QUEUES, Status

#: The longest text, in characters.
LONGEST: Final = 2_000

#: What a qualifier narrows the list to, as completion shows it.
QUALIFIERS: Final = {
    "status": "failed, queued, running, …",
    "type": "CSV_EXPORT",
    "priority": "high or default",
    "tag": "a tag of the job",
    "payload.": "payload.to:ann@example.org",
    "since": "accepted since: 15m, 1h, 7d, 2026-11-30",
    "before": "accepted before: 1h, 2026-11-30T08:00",
    "finished": "final since: 1h",
    "failure": "a group of failures, by its text",
}

_WORD: Final = re.compile(
    r"""
    (?: (?P<name> payload\.[^\s:"]+ | [A-Za-z][A-Za-z]* ) : (?!//) )?
    (?: "(?P<quoted> (?: [^"\\] | \\. )* )" (?=\s|$) | (?P<plain> \S* ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_AGO: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Fault(NamedTuple):
    """A word of the text that cannot be what was meant, and why."""

    word: str
    what: str


@dataclass(frozen=True, slots=True)
class QueryText:
    """A text of the search box, read. It is to be used only if it has no faults."""

    text: str
    filter: JobFilter
    faults: tuple[Fault, ...]

    @property
    def fixed(self) -> str:
        """The same with its times spelled out: it means the same jobs a minute later."""
        return written(self.filter)


def read(text: str, now: datetime, types: Collection[str] = ()) -> QueryText:
    """Read a text. ``now`` is what ``1h`` is reckoned from; of ``types``, small letters are as good as capitals."""
    if len(text) > LONGEST or "\0" in text:
        return QueryText("", JobFilter(), (Fault(text[:30], f"is longer than {LONGEST} characters, or holds a NUL"),))
    reading = _Reading(now, {known.lower(): known for known in types})
    for word in _words(text):
        reading.take(word)
    return QueryText(text.strip(), reading.filter(), tuple(reading.faults))


def with_statuses(text: str, *statuses: str) -> str:
    """The text with these statuses in the place of its own, and all else as it was written."""
    rest = [word.raw for word in _words(text) if (word.name or "").lower() != "status"]
    return " ".join(([f"status:{','.join(statuses)}"] if statuses else []) + rest)


def written(which: JobFilter) -> str:
    """A text that means these jobs."""
    search = which.search.text if which.search else ""
    given: dict[str, Any] = {
        "status": which.statuses,
        "type": which.types,
        "priority": which.priority,
        "tag": which.tag,
        "createdAfter": which.created_after and which.created_after.isoformat(),
        "createdBefore": which.created_before and which.created_before.isoformat(),
        "finishedAfter": which.finished_after and which.finished_after.isoformat(),
        "failure": which.failure and str(which.failure),
        "q": search,
    }
    return text_of(given)


def text_of(given: Mapping[str, Any]) -> str:
    """The same of a filter in the words of ``GET /jobs``, as an action keeps it; what is empty is left out."""
    words = []
    for name, value in given.items():
        if not value:
            continue
        if name == "q":
            words.append(_searched(str(value)))
        else:
            several = value if isinstance(value, str) else ",".join(value)
            words.append(f"{_NAMES[name]}:{_quoted(several)}")
    return " ".join(words)


#: The qualifiers of the words of ``GET /jobs``.
_NAMES: Final = {
    "status": "status",
    "type": "type",
    "priority": "priority",
    "tag": "tag",
    "createdAfter": "since",
    "createdBefore": "before",
    "finishedAfter": "finished",
    "failure": "failure",
}


class _Word(NamedTuple):
    """A word of the text as it was written, the qualifier before its colon, and what it says."""

    raw: str
    name: str | None
    value: str
    quoted: bool


def _words(text: str) -> Iterator[_Word]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = _WORD.match(text, place)
        assert found is not None  # noqa: S101 - the last choice fits everything
        place = found.end()
        quoted = found["quoted"] is not None
        value = re.sub(r"\\(.)", r"\1", found["quoted"], flags=re.DOTALL) if quoted else found["plain"]
        yield _Word(found[0], found["name"], value, quoted)


@dataclass
class _Reading:
    """What was read so far."""

    now: datetime
    types: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    chosen_types: list[str] = field(default_factory=list)
    single: dict[str, Any] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def take(self, word: _Word) -> None:
        """Take in a word, or note what is wrong with it."""
        try:
            if not word.quoted and word.value.startswith('"'):
                raise ValueError('opens a quotation that does not end: "…"')
            if word.name is None:
                self.text.append(word.value)
            elif word.name.startswith("payload."):
                self._once(word.name, "search", lambda: Search(_path(word.name or "", word.value)))
            else:
                self._qualified(word.name.lower(), word)
        except ValueError as error:
            self.faults.append(Fault(word.raw, str(error)))

    def filter(self) -> JobFilter:
        """The filter of all that was read."""
        found = JobFilter(
            statuses=tuple(dict.fromkeys(self.statuses)), types=tuple(dict.fromkeys(self.chosen_types)), **self.single
        )
        if not (text := " ".join(self.text)):
            return found
        if found.search is not None:
            what = "cannot be searched for together with a value of the payload: only one of them"
            self.faults.append(Fault(text, what))
        elif len(text) > MAX_SEARCH:
            self.faults.append(Fault(text[:30], f"is longer than {MAX_SEARCH} characters"))
        else:
            found = replace(found, search=Search(text))
        return found

    def _qualified(self, name: str, word: _Word) -> None:
        if not word.value:
            raise ValueError(f"needs a value, such as {_EXAMPLES.get(name, 'one')}")
        match name:
            case "status":
                self.statuses += [_status(each) for each in _list(word.value)]
            case "type":
                self.chosen_types += [self.types.get(each.lower(), each) for each in _list(word.value)]
            case "priority":
                self._once(name, name, lambda: _priority(word.value))
            case "tag":
                self._once(name, name, lambda: word.value)
            case "since":
                self._once(name, "created_after", lambda: self._time(word.value))
            case "before":
                self._once(name, "created_before", lambda: self._time(word.value))
            case "finished":
                self._once(name, "finished_after", lambda: self._time(word.value))
            case "failure":
                self._once(name, name, lambda: Likeness.parse(word.value))
            case _:
                raise ValueError(_no_qualifier(word))

    def _once(self, name: str, what: str, value: Callable[[], Any]) -> None:
        if what in self.single:
            raise ValueError(
                "is a second value of the payload: only one" if what == "search" else f"is a second {name}"
            )
        self.single[what] = value()

    def _time(self, text: str) -> datetime:
        if ago := _AGO.fullmatch(text):
            try:
                return self.now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
            except OverflowError:
                raise ValueError("lies before all times") from None
        try:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            what = "is no time: say how long ago (15m, 1h, 7d) or when (2026-11-30, 2026-11-30T08:00, in UTC)"
            raise ValueError(what) from None


_EXAMPLES: Final = {
    "status": "status:failed",
    "type": "type:CSV_EXPORT",
    "priority": "priority:high",
    "tag": "tag:nightly",
    "since": "since:1h",
    "before": "before:2026-11-30",
    "finished": "finished:1h",
    "failure": "the text of a group of failures",
}


def _status(word: str) -> Status:
    try:
        return Status(word.lower())
    except ValueError:
        near = get_close_matches(word.lower(), list(Status), 1, 0.5)
        raise ValueError(f"is no status{_perhaps('status', near)}: {', '.join(Status)}") from None


def _priority(word: str) -> str:
    if word.lower() not in QUEUES:
        raise ValueError(f"is no priority: {' or '.join(QUEUES)}")
    return word.lower()


def _no_qualifier(word: _Word) -> str:
    near = get_close_matches((word.name or "").lower(), [*_EXAMPLES, "payload"], 1, 0.5)
    return f'is no qualifier{_perhaps("", near)}. To search for the text itself, put it in quotes: "{word.raw}"'


def _perhaps(name: str, near: list[str]) -> str:
    return f" (perhaps {name + ':' if name else ''}{near[0]}{'' if name else ':'}?)" if near else ""


def _list(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError("names none; leave it out for all")
    return words


def _path(name: str, value: str) -> str:
    path = name.removeprefix("payload.")
    if "=" in path:
        raise ValueError("holds an equals sign in its path, which cannot be asked for")
    return f"$.{path}={value}"


def _searched(search: str) -> str:
    path = re.fullmatch(r"\$\.([^=\s:\"]+)={1,2}(.*)", search, re.DOTALL)
    return f"payload.{path[1]}:{_quoted(path[2])}" if path else _quoted(search, always=True)


def _quoted(text: str, *, always: bool = False) -> str:
    if text and not always and not re.search(r"[\s\"\\]", text):
        return text
    escaped = re.sub(r"([\\\"])", r"\\\1", text)
    return f'"{escaped}"'
