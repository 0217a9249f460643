"""What a running job says of itself: progress on its row, lines in its log. Neither is a transition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from peewee import JOIN, Select, fn

from jobplatform.journal.hint import Hint
from jobplatform.models import UNINDEXED_STATUS, Job, JobLog
from jobplatform.statement import Batch, Statement
from jobplatform.states import Status


@dataclass(slots=True)
class Progress:
    """How far an attempt has come. Refused, without a word, where the attempt is no longer current (P2)."""

    job_id: str
    attempt: int
    token: str
    #: JSON text.
    progress: str
    deadline: ClassVar[None] = None
    size: ClassVar[int] = 0

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.attempt, self.token, self.progress),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[bool, list[Hint]]:
        return rows[0][0], []


@dataclass(slots=True)
class LogLine:
    """A line that an attempt logged. Kept even where the attempt is no longer current: it happened.

    Where the answer of a commit is lost, the batch is written again, and the line may come twice.
    """

    job_id: str
    attempt: int
    text: str
    deadline: ClassVar[None] = None
    locks: ClassVar[None] = None

    @property
    def size(self) -> int:
        return len(self.text)

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.attempt, self.text),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[bool, list[Hint]]:
        return rows[0][0], []


def _progress_statement() -> Statement:
    batch = Batch(id="uuid", attempt="integer", token="uuid", progress="text")
    noted = (
        Job.update({Job.progress: batch.progress.cast("json"), Job.updated_at: fn.greatest(batch.now, Job.updated_at)})
        .from_(batch.cte)
        .where(
            Job.id == batch.id,
            UNINDEXED_STATUS == Status.RUNNING,
            Job.attempts == batch.attempt,
            Job.token == batch.token,
        )
        .returning(batch.n)
        .cte("noted")
    )
    answer = (
        Select([batch.cte], [noted.c.n.is_null(False)])
        .join(noted, JOIN.LEFT_OUTER, on=(noted.c.n == batch.n))
        .with_cte(batch.cte, noted)
    )
    return Statement(batch, answer)


def _log_statement() -> Statement:
    batch = Batch(id="uuid", attempt="integer", text="text")
    values = {JobLog.job_id: batch.id, JobLog.attempt: batch.attempt, JobLog.at: batch.now, JobLog.text: batch.text}
    lines = Select([batch.cte], list(values.values())).order_by(batch.n)
    logged = JobLog.insert_from(lines, list(values)).returning(JobLog.id).cte("logged")
    return Statement(batch, Select([batch.cte], [True]).with_cte(batch.cte, logged))


PROGRESS: Final = _progress_statement()
LOG: Final = _log_statement()
