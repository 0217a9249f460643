"""Filters: which jobs a list shows, or an action is done to."""

from api.parameters import Parameters, faulty
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import MAX_SEARCH, Search
from jobplatform.states import QUEUES, Status


def job_filter(given: Parameters) -> JobFilter:
    """The filter that the parameters ``status``, ``type``, ``priority``, ``tag``, ``createdAfter``,
    ``createdBefore``, ``finishedAfter``, ``q`` and ``failure`` make.

    Raises:
        Problem: one of them is not what it must be (400).
    """
    statuses = given.words("status")
    if unknown := [status for status in statuses if status not in tuple(Status)]:
        raise faulty("status", f"must be one or more of {', '.join(Status)}, and {unknown[0]!r} is none")
    q = given.text("q", MAX_SEARCH)
    return JobFilter(
        statuses=tuple(map(Status, statuses)),
        types=given.words("type"),
        priority=given.choice("priority", QUEUES),
        tag=given.text("tag"),
        created_after=given.time("createdAfter"),
        created_before=given.time("createdBefore"),
        finished_after=given.time("finishedAfter"),
        search=None if q is None else Search(q),
        failure=_failure(given.text("failure")),
    )


def _failure(given: str | None) -> Likeness | None:
    try:
        return None if given is None else Likeness.parse(given)
    except ValueError as error:
        raise faulty("failure", str(error)) from None
