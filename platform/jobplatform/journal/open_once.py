"""Opening jobs under keys: once, however often, by however many and however much at once it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Final, NamedTuple

from jobplatform.errors import IdempotencyKeyReused, JobIdTaken, UniqueKeyTaken
from jobplatform.journal import cancel, keys
from jobplatform.journal import open as opening
from jobplatform.journal.cancel import Cancel
from jobplatform.journal.hint import Hint
from jobplatform.journal.keys import IdempotencyKey, Kept, Look, Slot, slot_of
from jobplatform.journal.open import NewJob, Open, Opened
from jobplatform.models import database, roll_back

#: One transaction opens so many requests at the most: each key is a lock, of which Postgres has some thousands.
MOST_REQUESTS: Final = 100

#: How often it is tried when a unique key is taken meanwhile by one who takes no lock for it: a resubmitted job.
_TRIES: Final = 5


class Present(NamedTuple):
    """A job that was there already, and stands for one that was asked for."""

    id: str


class Accepted(NamedTuple):
    """What became of the jobs that were asked for, in their order."""

    jobs: list[Opened | Present]
    #: Whether another request under the same idempotency key was accepted, and these are its jobs.
    replayed: bool = False


@dataclass(slots=True)
class OpenOnce:
    """Accept these jobs, all or none, unless that was done already. Repeating it changes nothing (P4)."""

    jobs: Sequence[NewJob]
    key: IdempotencyKey | None = None
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    locks: ClassVar[None] = None

    @property
    def size(self) -> int:
        return opening.size_of(self.jobs)

    @property
    def guarded(self) -> list[NewJob]:
        """Its jobs that have unique keys."""
        return [job for job in self.jobs if job.unique_key is not None]

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return Open(self.jobs).rows()

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Accepted | JobIdTaken, list[Hint]]:
        opened, hints = Open(self.jobs).answer(rows)
        return (opened if isinstance(opened, JobIdTaken) else Accepted([*opened])), hints


def open_once(items: Sequence[OpenOnce]) -> tuple[list[Any], list[Hint]]:
    """Write all these, in transactions of the calling thread's connection. Each item is whole in one of them.

    Returns the answers in the order of the items: `Accepted`, or the errors `IdempotencyKeyReused` and
    `UniqueKeyTaken`; and the hints to send.

    Raises:
        JobIdTaken: a new job met another job's id; the transaction with its item was not written.
        peewee.PeeweeException: the last transaction was not written, or the answer to its commit was lost.
    """
    answers: list[Any] = []
    hints: list[Hint] = []
    for start in range(0, len(items), MOST_REQUESTS):
        answered, ready = _open(items[start : start + MOST_REQUESTS], _TRIES)
        answers += answered
        hints += ready
    return answers, hints


def _open(items: Sequence[OpenOnce], tries: int) -> tuple[list[Any], list[Hint]]:
    try:
        return _Transaction(items).run()
    except JobIdTaken:
        if tries == 1:
            raise
    return _open(items, tries - 1)


@dataclass(slots=True)
class _Plan:
    """What is to be done after one look."""

    #: By the place of their item: for each job the one that stands for it, or None where it is to be opened.
    opens: dict[int, list[Present | None]] = field(default_factory=dict)
    cancels: list[Cancel] = field(default_factory=list)
    keys: list[tuple[IdempotencyKey, list[str]]] = field(default_factory=list)
    #: The ids of all jobs that are to be opened.
    new: set[str] = field(default_factory=set)


class _Transaction:
    def __init__(self, items: Sequence[OpenOnce]) -> None:
        self._items = items
        self._answers: list[Any] = [None] * len(items)
        self._hints: list[Hint] = []

    def run(self) -> tuple[list[Any], list[Hint]]:
        places = list(range(len(self._items)))
        try:
            before = keys.lock(
                [item.key.name for item in self._items if item.key is not None],
                [slot_of(job) for item in self._items for job in item.guarded],
            )
            while places:
                look = _look([self._items[place] for place in places], before)
                before = ""
                plan = _Plan()
                # Where an item meets what the plan only opens, it and all after it wait for the next look.
                decided = next((n for n, place in enumerate(places) if not self._decide(place, look, plan)), None)
                places = [] if decided is None else places[decided:]
                self._write(plan, "" if places else "COMMIT")
        except BaseException:
            roll_back()
            raise
        return self._answers, self._hints

    def _decide(self, place: int, look: Look, plan: _Plan) -> bool:
        """Answer an item, or put into the plan what it asks for. False: not before the plan has been carried out."""
        item = self._items[place]
        if item.key is not None and (kept := look.kept.get(item.key.name)) is not None:
            self._repeat(place, item.key, kept, plan)
            return True
        choice = _Choice(item, look, plan)
        if choice.waits:
            return False
        if choice.taken:
            self._answers[place] = UniqueKeyTaken(choice.taken)
            return True
        plan.opens[place] = choice.stand_ins
        plan.cancels += choice.cancels
        plan.new |= choice.new
        look.holders |= choice.slots
        if item.key is not None:
            pairs = zip(item.jobs, choice.stand_ins, strict=True)
            job_ids = [job.id if other is None else other.id for job, other in pairs]
            plan.keys.append((item.key, job_ids))
            look.kept[item.key.name] = Kept(item.key.fingerprint, job_ids)
        return True

    def _repeat(self, place: int, key: IdempotencyKey, kept: Kept, plan: _Plan) -> None:
        """Answer an item whose idempotency key is known already."""
        jobs = self._items[place].jobs
        if not {job.id for job in jobs}.isdisjoint(kept.job_ids):
            # Kept by its own first try, whose answer was lost: to be told of them, it opens its jobs again (P4).
            pairs = zip(jobs, kept.job_ids, strict=True)
            plan.opens[place] = [None if job.id == job_id else Present(job_id) for job, job_id in pairs]
        elif key.fingerprint == kept.fingerprint:
            self._answers[place] = Accepted([Present(job_id) for job_id in kept.job_ids], replayed=True)
        else:
            self._answers[place] = IdempotencyKeyReused()

    def _write(self, plan: _Plan, after: str) -> None:
        if plan.cancels:
            cancel.STATEMENT.execute([row for each in plan.cancels for row in each.rows()])
        opens = {
            place: Open([job for job, other in zip(self._items[place].jobs, stand_ins, strict=True) if other is None])
            for place, stand_ins in plan.opens.items()
        }
        rows = iter(opening.STATEMENT.execute([row for each in opens.values() for row in each.rows()]))
        for place, each in opens.items():
            opened, hints = each.answer(list(islice(rows, len(each.jobs))))
            if isinstance(opened, JobIdTaken):
                opened, hints = each.answer(opening.FIND.execute(each.find_rows()))
            if isinstance(opened, JobIdTaken):
                raise opened
            answers = iter(opened)
            self._answers[place] = Accepted([other or next(answers) for other in plan.opens[place]])
            self._hints += hints
        if plan.keys:
            keys.keep(plan.keys, after)
        elif after:
            database.execute_sql(after)


class _Choice:
    """What an item asks for, where its unique keys are held as a look has seen."""

    def __init__(self, item: OpenOnce, look: Look, plan: _Plan) -> None:
        self._look = look
        self._plan = plan
        #: For each job the one that stands for it, or None where it is to be opened.
        self.stand_ins: list[Present | None] = []
        #: What the new jobs hold.
        self.slots: dict[Slot, str] = {}
        self.cancels: list[Cancel] = []
        #: Who holds what would be needed, by the places of the jobs that would need it.
        self.taken: dict[int, str] = {}
        #: Whether it would change what the plan has yet to open.
        self.waits = any(job.id in plan.new for job in item.jobs)
        for place, job in enumerate(item.jobs):
            free = job.unique_key is None or job.id in look.present
            self.stand_ins.append(None if free else self._take(place, job))
        self.new = {job.id for job, other in zip(item.jobs, self.stand_ins, strict=True) if other is None}

    def _take(self, place: int, job: NewJob) -> Present | None:
        slot = slot_of(job)
        holder = self._look.holders.get(slot)
        if slot in self.slots:
            self.taken[place] = self.slots[slot]
        elif holder is None:
            self.slots[slot] = job.id
        elif job.on_conflict == "return":
            return Present(holder)
        elif job.on_conflict == "replace" and holder in self._plan.new:
            self.waits = True
        elif job.on_conflict == "replace" and holder in self._look.waiting:
            self.slots[slot] = job.id
            self.cancels.append(Cancel(holder, job.who, f"replaced by {job.id}", job.request_id))
        else:
            self.taken[place] = holder
        return None


def _look(items: Sequence[OpenOnce], before: str) -> Look:
    look = Look(before=before)
    look.see_kept({item.key.name for item in items if item.key is not None})
    look.see_holders([job for item in items for job in item.guarded])
    # With an idempotency key that tells of it, nobody has to look for what the item's own first try has opened.
    look.see_present([job.id for item in items if item.key is None for job in item.jobs])
    return look
