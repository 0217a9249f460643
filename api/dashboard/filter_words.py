"""Filters of actions in words."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jobplatform.queries.likeness import Likeness

#: What a filter of jobs may ask. A process of another version may have recorded more.
WORDS: Final = frozenset(
    {"status", "type", "priority", "tag", "createdAfter", "createdBefore", "finishedAfter", "q", "failure"}
)


def filter_words(filter: Mapping[str, Any]) -> str:  # noqa: A002
    """Which jobs a filter means, or which queue, as in ``failed EMAIL_SEND jobs, tagged nightly``."""
    if "queue" in filter:
        return f"the queue {filter['queue']}"
    kinds = [_any_of(filter.get("status")), _any_of(filter.get("type"))]
    jobs = " ".join(word for word in (*kinds, "jobs") if word) if any(kinds) else "all jobs"
    if failure := filter.get("failure"):
        likeness = Likeness.parse(failure)
        jobs += f" that failed with {likeness.error or likeness.kind or 'no word'}: {likeness.message or 'no message'}"
    return ", ".join((jobs, *_narrower(filter)))


def _narrower(filter: Mapping[str, Any]) -> Iterator[str]:  # noqa: A002
    if priority := filter.get("priority"):
        yield f"of priority {priority}"
    if tag := filter.get("tag"):
        yield f"tagged {tag}"
    if q := filter.get("q"):
        yield f"with “{q}” in the payload"
    for name, said in (
        ("createdAfter", "accepted after"),
        ("createdBefore", "accepted before"),
        ("finishedAfter", "final since"),
    ):
        if at := filter.get(name):
            yield f"{said} {str(at)[:19].replace('T', ' ')} UTC"
    for name in sorted(filter.keys() - WORDS):
        yield f"{name} {filter[name]}"


def _any_of(words: list[str] | None) -> str:
    return " or ".join(words or ())
