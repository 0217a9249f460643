"""Walking along an index past the jobs that fit a filter: a bounded piece of the way at a time, however few fit."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from jobplatform.queries.estimate import estimated_rows
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import LOOKED_AT
from jobplatform.queries.snapshot import rows
from jobplatform.states import Status

#: For so many seconds a walk goes on looking for more, and so many jobs it passes with one query.
PATIENCE: Final = 0.012
MOST_PASSED: Final = 4_000
_FEWEST_PASSED: Final = 50
#: Where not every job on the way fits, the first query passes so many at the least, however small the page is: it costs
#: hardly more than to pass two, and tells how fast the way can be walked.
_FIRST_PASSED: Final = 200
#: A query of a walk looks into payloads of so many bytes, as they are stored, at the most.
MOST_SEARCHED: Final = 2_000_000


#: Settings of Postgres for walks: where it lacks statistics it might rather gather and sort all that a filter finds.
IN_ORDER: Final = ("enable_sort = off", "enable_bitmapscan = off")


class Position(NamedTuple):
    """A place in the order of the jobs: that of one of them."""

    created_at: datetime
    id: str


class Found(NamedTuple):
    """A job that fits. ``stored`` is how many bytes its texts take in the database."""

    at: Position
    stored: int


@dataclass(frozen=True, slots=True)
class Walk:
    """Jobs that fit a filter, in the order of their acceptance."""

    found: list[Found]
    #: Behind which job to go on; None: there is none behind the last one found.
    next: Position | None


def walk(
    which: JobFilter,
    *,
    newest_first: bool,
    after: Position | None,
    limit: int,
    patience: float = PATIENCE,
    most_passed: int = MOST_PASSED,
) -> Walk:
    """Find up to ``limit`` jobs behind a position.

    It may find fewer, or none, though there are more: then time was up, and ``next`` says where to go on.
    """
    deadline = time.monotonic() + patience
    sources = _sources(which)
    found: list[Found] = []
    most_passed = max(most_passed // sources[0].price, 1)
    piece = min(max(limit + 1, _FIRST_PASSED if _some_may_not_fit(which, sources) else 0), most_passed)
    while True:
        began = time.monotonic()
        fitting, after = _pass(which, sources, newest_first, after, piece)
        found += fitting
        if len(found) > limit:
            return Walk(found[:limit], found[limit - 1].at)
        now = time.monotonic()
        in_time = int((deadline - now) / (now - began) * piece)  # if it goes on as fast
        if after is None or in_time < _FEWEST_PASSED:
            return Walk(found, after)
        piece = min(4 * piece, in_time, most_passed)


class _Source(NamedTuple):
    """A way that the jobs lie along, ordered by their acceptance: an index, or the range of one value in it."""

    #: The column on which nothing else need be asked; empty: all jobs.
    column: str
    value: str | None
    #: So many times what a job of all jobs costs one costs here.
    price: int


def _sources(which: JobFilter) -> list[_Source]:
    """The ways on which the fewest jobs have to be passed."""
    choices: dict[tuple[str, str], tuple[str, ...]] = {}
    if which.tag is not None:
        choices["job_tags", "tag"] = (which.tag,)
    if which.statuses and len(set(which.statuses)) < len(Status):
        choices["jobs", "status"] = tuple(map(str, which.statuses))
    if which.types:
        choices["jobs", "type"] = which.types
    if not choices:
        return [_Source("", None, 1)]
    best = next(iter(choices))
    if len(choices) > 1:
        best = min(choices, key=lambda choice: estimated_rows(choice[0], choice[1], choices[choice]))
    values = dict.fromkeys(choices[best])
    return [_Source(best[1], value, 4 if best[1] == "tag" else len(values)) for value in values]


def _some_may_not_fit(which: JobFilter, sources: list[_Source]) -> bool:
    """Whether more is asked of a job than that it lies on the way, which ends where the times do."""
    return len(list(which.parts(besides=sources[0].column))) > len(list(which.times()))


#: What is asked of each job on the way, beside its place.
_COLUMNS: Final = (
    "j.status, j.type, j.priority, j.tags, j.finished_at, j.payload, j.error,"
    " pg_column_size(j.payload) + coalesce(pg_column_size(j.result), 0) + coalesce(pg_column_size(j.error), 0)"
    " AS stored"
)

#: Passes a piece of the way. Of the jobs that it passes it answers those that fit, and the last one.
_PIECE: Final = """
SELECT id::text, created_at, stored, fits, passed = {piece} OR searched > {most_searched} AS goes_on,
       {said} AS said
FROM (
    SELECT id, created_at, stored, searched, number, error, coalesce({condition}, false) AS fits,
           count(*) OVER () AS passed
    FROM (
        SELECT *, row_number() OVER way AS number, sum({searched}) OVER way AS searched
        FROM ({way}) AS way
        WINDOW way AS (ORDER BY created_at {order}, id {order} ROWS UNBOUNDED PRECEDING)
        ORDER BY created_at {order}, id {order}
    ) AS numbered
    WHERE searched - {searched} <= {most_searched}
) AS examined
WHERE fits OR number = passed
ORDER BY number
"""


def _pass(
    which: JobFilter, sources: list[_Source], newest_first: bool, after: Position | None, piece: int
) -> tuple[list[Found], Position | None]:
    """Those that fit among the next so many jobs, and the last one passed; None where the way ends."""
    order = "DESC" if newest_first else "ASC"
    ways = [_way(which, source, newest_first, after, piece) for source in sources]
    way = ways[0][0] if len(ways) == 1 else _merged([sql for sql, _ in ways], order, piece)
    parts = list(which.parts(besides=sources[0].column))
    sql = _PIECE.format(
        way=way,
        order=order,
        piece=piece,
        condition=" AND ".join(("stored IS NOT NULL", *(part for part, _ in parts))),
        searched="coalesce(pg_column_size(payload), 0)" if which.search else "0",
        most_searched=MOST_SEARCHED,
        said=f"CASE WHEN fits THEN left(error->>'message', {LOOKED_AT}) END" if which.failure else "NULL",
    )
    # The conditions come before the ways in the text of the statement.
    values = [value for _, of_one in (*parts, *ways) for value in of_one]
    passed = rows(sql, values)
    fitting = [
        Found(Position(at, id), stored)
        for id, at, stored, fits, _, said in passed  # noqa: A001
        if fits and (which.failure is None or which.failure.is_of(said))
    ]
    goes_on = bool(passed) and passed[-1][4]
    return fitting, Position(passed[-1][1], passed[-1][0]) if goes_on else None


def _way(
    which: JobFilter, source: _Source, newest_first: bool, after: Position | None, piece: int
) -> tuple[str, list[Any]]:
    """The next so many jobs along an index, with the values of its parameters.

    The value that the index begins with is part of the order and of each bound, and is never said to be equal: so
    Postgres has no choice but to walk along this index, whatever it believes about how many there are.
    """
    first = [source.column] if source.column else []
    value = [source.value] if source.column else []
    id_column = "job_id" if source.column == "tag" else "id"
    key = [*first, "created_at", id_column]
    bounds: list[tuple[list[str], str, list[Any]]] = []
    if source.column:
        bounds += [(first, ">=", value), (first, "<=", value)]
    if which.created_after is not None:
        bounds.append((key[:-1], ">", [*value, which.created_after]))
    if which.created_before is not None:
        bounds.append((key[:-1], "<", [*value, which.created_before]))
    if after is not None:
        bounds.append((key, "<" if newest_first else ">", [*value, *after]))
    conditions = [f"({', '.join(columns)}) {sign} ({_marks(columns)})" for columns, sign, _ in bounds]
    order = ", ".join(f"{column} {'DESC' if newest_first else 'ASC'}" for column in key)
    walked = (
        f"FROM {'job_tags' if source.column == 'tag' else 'jobs'} AS j"
        f" WHERE {' AND '.join(conditions) or 'true'} ORDER BY {order} LIMIT {piece}"
    )
    sql = f"(SELECT id, created_at, {_COLUMNS} {walked})"
    if source.column == "tag":
        # Looked up one by one, so that nothing is read for tags beyond the piece. A job that was deleted by hand leaves
        # its tags behind: the way goes on past them.
        sql = (
            f"(SELECT tagged.job_id AS id, tagged.created_at, {_COLUMNS}"
            f" FROM (SELECT job_id, created_at {walked}) AS tagged"
            " LEFT JOIN LATERAL (SELECT * FROM jobs WHERE id = tagged.job_id OFFSET 0) AS j ON true)"
        )
    return sql, [bound for _, _, values in bounds for bound in values]


def _marks(columns: list[str]) -> str:
    return ", ".join("%s::uuid" if column.endswith("id") else "%s" for column in columns)


def _merged(ways: list[str], order: str, piece: int) -> str:
    return f"SELECT * FROM ({' UNION ALL '.join(ways)}) AS ways ORDER BY created_at {order}, id {order} LIMIT {piece}"
