"""A broker and a reader that answer at once, for tests of the API's resources alone."""

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from falcon import testing

from jobplatform.answer import Answer
from jobplatform.broker import JobBroker
from jobplatform.journal import Accepted, IdempotencyKey, Opened
from jobplatform.message import JobMessage
from jobplatform.queries import EventRow, JobRow
from jobplatform.reader import Reader
from jobplatform.settings import Settings
from jobplatform.states import Status

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
AT = datetime(2030, 1, 31, 8, 0, 0, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}


def answer_of(value: Any) -> "Answer[Any]":
    future: Answer[Any] = Answer()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class StandInBroker(JobBroker):
    """Accepts whatever is submitted, or fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.accepted: list[JobMessage] = []
        self.error: Exception | None = None

    def submit_once(
        self,
        messages: Sequence[JobMessage],  # noqa: ARG002
        key: IdempotencyKey | None,  # noqa: ARG002
        deadline: float | None = None,  # noqa: ARG002
    ) -> "Answer[Accepted]":
        assert self.error, "a stand-in keeps no keys"
        return answer_of(self.error)

    def submit(self, messages: Sequence[JobMessage], deadline: float | None = None) -> "Answer[list[Opened]]":
        assert deadline is not None
        assert deadline > time.monotonic()
        if self.error:
            return answer_of(self.error)
        self.accepted += messages
        return answer_of([Opened(message.message_id, "queued", AT, message.run_at) for message in messages])


class StandInReader(Reader):
    """Knows one job, or fails as it is told to."""

    def __init__(self) -> None:
        self.row = JobRow(
            id=str(ID),
            type="GREETING",
            status=Status.QUEUED,
            priority="high",
            queue="high",
            attempts=0,
            payload='{"name": "Ada", "b": 1, "a": 2}',
            result=None,
            error=None,
            progress=None,
            created_at=AT,
            updated_at=AT,
            started_at=None,
            finished_at=None,
            run_at=None,
            tags=["nightly"],
            unique_key=None,
            cancel_requested=False,
        )
        self.looks = 0
        self.questions: list[list[str]] = []
        self.error: Exception | None = None

    def job(self, job_id: UUID | str) -> "Answer[JobRow | None]":
        self.looks += 1
        return answer_of(self.error or (self.row if job_id == str(ID) else None))

    def events(self, job_id: UUID | str) -> "Answer[list[EventRow] | None]":
        event = EventRow(7, "enqueued", None, "queued", 0, AT, None, "anonymous", '{"b": 1, "a": 2}', "a-request")
        return answer_of(self.error or ([event] if job_id == str(ID) else None))

    def statuses(self, ids: Collection[str]) -> "Answer[dict[str, str]]":
        self.questions.append(list(ids))
        return answer_of(self.error or ({self.row.id: self.row.status} if self.row.id in ids else {}))

    def ping(self) -> "Answer[None]":
        return answer_of(self.error)


def post(client: testing.TestClient, body: bytes, headers: dict[str, str] | None = None) -> testing.Result:
    return client.simulate_post("/jobs", body=body, headers=JSON if headers is None else headers)


GREETING = b'{"type": "GREETING", "payload": {"name": "Ada"}}'
