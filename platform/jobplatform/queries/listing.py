"""Pages of jobs."""

from dataclasses import dataclass
from typing import Final

from jobplatform.queries.filter import JobFilter
from jobplatform.queries.job import JobRow, jobs
from jobplatform.queries.snapshot import one_moment
from jobplatform.queries.walk import IN_ORDER, Found, Position, walk

#: A page ends when its jobs' texts are so many bytes, however many jobs were asked for. It has one job at least.
MOST_TEXT: Final = 8_000_000
#: Postgres compresses long texts: stored ones may be so much longer when they are read.
_INFLATED: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, and behind which one the next page begins; None: there is none."""

    jobs: list[JobRow]
    next: Position | None


def page(which: JobFilter, newest_first: bool, after: Position | None, limit: int) -> Page:
    """Up to ``limit`` jobs that fit, in the order of their acceptance, all as they stand at one moment.

    A page may have fewer jobs, or none, though it has a ``next``: the jobs that fit are rare, or large.
    """
    with one_moment(*IN_ORDER):
        walked = walk(which, newest_first=newest_first, after=after, limit=limit)
        shown = _read(walked.found)
    cut = len(shown) < len(walked.found)
    return Page(shown, walked.found[len(shown) - 1].at if cut else walked.next)


def _read(found: list[Found]) -> list[JobRow]:
    shown: list[JobRow] = []
    room = MOST_TEXT
    while len(shown) < len(found) and (room > 0 or not shown):
        batch = _fits(found[len(shown) :], room)
        by_id = jobs(batch)
        shown += [by_id[id] for id in batch]  # noqa: A001
        room -= sum(_length(job) for job in by_id.values())
    return shown


def _fits(found: list[Found], room: int) -> list[str]:
    """So many of the first ones as most likely have room, and one at least."""
    ids: list[str] = []
    for job in found:
        room -= job.stored * _INFLATED
        if room < 0 and ids:
            break
        ids.append(job.at.id)
    return ids


def _length(job: JobRow) -> int:
    return sum(len(text) for text in (job.payload, job.result, job.error, job.progress) if text)
