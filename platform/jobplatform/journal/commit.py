"""One transaction over a batch of items of any kind: as few statements, and as few round trips, as the rules allow."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from jobplatform.errors import JobIdTaken
from jobplatform.journal import actions, cancel, claim, notes, queues, resubmit, settle
from jobplatform.journal import open as opening
from jobplatform.journal.hint import Hint
from jobplatform.journal.item import Item
from jobplatform.journal.lock import lock
from jobplatform.journal.open import Open
from jobplatform.journal.open_once import OpenOnce, open_once
from jobplatform.journal.settle import Settle, Settled
from jobplatform.models import database, roll_back
from jobplatform.statement import Statement
from jobplatform.states import Event

#: In this order: an attempt's last progress comes before its outcome, which ends it; what an outcome frees can be
#: claimed, and its follow-ups opened, by the same commit.
_STATEMENTS: Final[dict[type[Any], Statement]] = {
    notes.Progress: notes.PROGRESS,
    settle.Settle: settle.STATEMENT,
    cancel.Cancel: cancel.STATEMENT,
    resubmit.Resubmit: resubmit.STATEMENT,
    claim.Claim: claim.STATEMENT,
    opening.Open: opening.STATEMENT,
    notes.LogLine: notes.LOG,
    queues.PauseQueue: queues.PAUSE,
    queues.ResumeQueue: queues.RESUME,
    actions.RecordAction: actions.RECORD,
}


def commit(items: Sequence[Item]) -> tuple[list[Any], list[Hint]]:
    """Write all items or none, in the calling thread's connection; those that keys guard in transactions of their own.

    Returns the answers in the order of the items, and the hints to send now that all is committed.

    Raises:
        JobIdTaken: a batch of new jobs met another job's id; nothing of all items was written.
        peewee.PeeweeException: nothing was written, or the answer to the commit was lost.
    """
    guarded = [item for item in items if isinstance(item, OpenOnce)]
    if not guarded:
        return _Transaction(items).run()
    # First: if the others then fail and all is repeated, these find what they did, and the others did nothing.
    opened, hints = open_once(guarded)
    if len(guarded) == len(items):
        return opened, hints
    written, more = _Transaction([item for item in items if not isinstance(item, OpenOnce)]).run()
    first, others = iter(opened), iter(written)
    return [next(first if isinstance(item, OpenOnce) else others) for item in items], hints + more


class _Transaction:
    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._answers: list[Any] = [None] * len(items)
        self._hints: list[Hint] = []

    def run(self) -> tuple[list[Any], list[Hint]]:
        steps = self._steps()
        # One statement is a transaction by itself, the lock that is sent along with it included.
        alone = len(steps) == 1 and not any(map(_needs_more, self._items))
        before = ("" if alone else "BEGIN;") + lock(self._items)
        try:
            for statement, places in steps:
                self._write(statement, places, before)
                before = ""
            if not alone:
                database.execute_sql("COMMIT")
        except Exception:
            if not alone:
                roll_back()
            raise
        self._fence()
        return self._answers, self._hints

    def _steps(self) -> list[tuple[Statement, list[int]]]:
        """The places of the items by statement, such that no statement meets a job twice (P3)."""
        steps: dict[tuple[type[Item], int], list[int]] = defaultdict(list)
        seen: Counter[tuple[type[Item], str]] = Counter()
        for place, item in enumerate(self._items):
            kind, ids = type(item), _ids(item)
            number = max((seen[kind, job_id] for job_id in ids), default=0)
            for job_id in ids:
                seen[kind, job_id] = number + 1
            steps[kind, number].append(place)
        order = list(_STATEMENTS)
        return [
            (_STATEMENTS[kind], places)
            for (kind, _), places in sorted(steps.items(), key=lambda step: (order.index(step[0][0]), step[0][1]))
        ]

    def _write(self, statement: Statement, places: Sequence[int], before: str) -> None:
        rows = [self._items[place].rows() for place in places]
        answers = iter(statement.execute([row for of_item in rows for row in of_item], after=before))
        for place, of_item in zip(places, rows, strict=True):
            item = self._items[place]
            answer, hints = item.answer(list(islice(answers, len(of_item))))
            if isinstance(answer, JobIdTaken) and isinstance(item, Open):
                answer, hints = item.answer(opening.FIND.execute(item.find_rows()))  # by a lost first try of its own?
            if isinstance(answer, JobIdTaken) and len(of_item) > 1:
                raise answer
            self._answers[place] = answer
            self._hints += hints
            if isinstance(item, Settle) and item.follow_ups and answer.event == item.event:
                self._open(item.follow_ups)

    def _open(self, follow_ups: Sequence[opening.NewJob]) -> None:
        follow_up = Open(follow_ups)
        _, hints = follow_up.answer(opening.STATEMENT.execute(follow_up.rows()))
        self._hints += hints

    def _fence(self) -> None:
        """Tell of the outcomes that were refused. A transaction of its own: it changes no job."""
        refused = [
            (place, item)
            for place, item in enumerate(self._items)
            if isinstance(item, Settle) and not self._answers[place].accepted
        ]
        if refused:
            rows = [item.fence_row() for _, item in refused]
            told = settle.FENCE.execute(rows, after=lock([item for _, item in refused]))
            for (place, _), (event,) in zip(refused, told, strict=True):
                self._answers[place] = Settled(Event(event))


def _needs_more(item: Item) -> bool:
    """Whether its statement may be followed by another one, or taken back."""
    return bool(isinstance(item, Settle) and item.follow_ups) or (isinstance(item, Open) and len(item.jobs) > 1)


def _ids(item: Item) -> Sequence[str]:
    """The ids of the jobs that it changes or makes."""
    if isinstance(item, Open):
        return [job.id for job in item.jobs]
    return () if item.locks is None else (item.locks,)
