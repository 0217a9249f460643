"""Which jobs somebody means."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import Search
from jobplatform.states import Status


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The jobs that fit everything that is given; without anything, all."""

    #: In one of these statuses, of one of these types.
    statuses: tuple[Status, ...] = ()
    types: tuple[str, ...] = ()
    priority: str | None = None
    tag: str | None = None
    #: Accepted after this time, and before that one.
    created_after: datetime | None = None
    created_before: datetime | None = None
    #: Final since a time after this one.
    finished_after: datetime | None = None
    search: Search | None = None
    #: With such an error. Its message cannot be told in SQL: who reads the jobs looks at it.
    failure: Likeness | None = None

    def parts(self, besides: str = "") -> Iterator[tuple[str, list[Any]]]:
        """Its conditions one by one, except that on the column ``besides``."""
        if self.statuses and besides != "status":
            yield "status = ANY(%s)", [[str(status) for status in self.statuses]]
        if self.types and besides != "type":
            yield "type = ANY(%s)", [list(self.types)]
        if self.priority is not None:
            yield "priority = %s", [self.priority]
        if self.tag is not None and besides != "tag":
            yield "%s = ANY(tags)", [self.tag]
        yield from self.times()
        if self.finished_after is not None:
            yield "finished_at > %s", [self.finished_after]
        if self.search is not None:
            yield self.search.condition()
        if self.failure is not None:
            yield self.failure.condition()

    def times(self) -> Iterator[tuple[str, list[Any]]]:
        """Those of its conditions that bound ``created_at``."""
        if self.created_after is not None:
            yield "created_at > %s", [self.created_after]
        if self.created_before is not None:
            yield "created_at < %s", [self.created_before]
