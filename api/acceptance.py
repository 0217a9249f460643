"""Having jobs accepted: what the engine says to it, as answers and problems."""

import time
from collections.abc import Callable, Sequence

import msgspec

from api.answers import Answers
from api.errors import RETRY_AFTER, in_general
from api.parameters import faulty, refuse_unknown
from api.problems import (
    IDEMPOTENCY_KEY_REUSED,
    INVALID_JOB,
    UNAVAILABLE,
    UNIQUE_KEY_TAKEN,
    Problem,
)
from api.request import Request
from api.submission import Submission
from api.views import JobView, accepted_json, rfc3339, rfc3339_or_none
from jobplatform.broker import JobBroker
from jobplatform.errors import (
    DatabaseUnavailable,
    Fault,
    IdempotencyKeyReused,
    NothingDone,
    RefusedByDatabase,
    UniqueKeyTaken,
)
from jobplatform.journal import Accepted, IdempotencyKey, Opened
from jobplatform.message import JobMessage


class Acceptance:
    """Has jobs accepted within a time."""

    def __init__(self, broker: JobBroker, timeout_ms: int, pointer: Callable[[int], str]) -> None:
        """``pointer`` says where in the body a job stands, by its place."""
        self._broker = broker
        self._timeout = timeout_ms / 1000
        # The writer answers at the deadline; this one ends the wait where it does not come to it.
        self._answers = Answers(timeout_ms + 250)
        self._pointer = pointer

    async def of(self, messages: Sequence[JobMessage], key: IdempotencyKey | None) -> Accepted:
        """Have all these jobs accepted, or none.

        Raises:
            Problem: a key is in the way (409, 422), a value cannot be stored (422), or it is not known whether they
                were accepted (503).
        """
        deadline = time.monotonic() + self._timeout
        try:
            if key is None and all(message.unique_key is None for message in messages):
                return Accepted([*await self._answers.of(self._broker.submit(messages, deadline))])
            return await self._answers.of(self._broker.submit_once(messages, key, deadline))
        except DatabaseUnavailable as error:
            raise _not_known(error, messages, key) from error
        except RefusedByDatabase as error:
            raise Problem(INVALID_JOB, str(error)) from error
        except IdempotencyKeyReused as error:
            detail = "Another request was accepted under this Idempotency-Key. Give each request a new one."
            raise Problem(IDEMPOTENCY_KEY_REUSED, detail) from error
        except UniqueKeyTaken as error:
            raise self._taken(error) from error

    def _taken(self, error: UniqueKeyTaken) -> Problem:
        first = next(iter(error.holders.values()))
        held = [
            Fault(f"{self._pointer(place)}/uniqueKey", f"is held by the job {holder}, which is not finished")
            for place, holder in error.holders.items()
        ]
        detail = f"The job {first} holds this unique key, and is not finished."
        if len(held) > 1:
            detail = f"{len(held)} unique keys are held by jobs that are not finished."
        return Problem(UNIQUE_KEY_TAKEN, detail, faults=held, job_id=first)


def opened_json(job: Submission, opened: Opened) -> bytes:
    """A job that was opened just now as a JSON object."""
    created_at = rfc3339(opened.created_at)
    return accepted_json(
        JobView(
            id=opened.id,
            type=job.actor.type,
            status=opened.status,
            priority=job.priority,
            attempts=0,
            payload=msgspec.Raw(job.payload),
            result=None,
            error=None,
            progress=None,
            created_at=created_at,
            updated_at=created_at,
            started_at=None,
            finished_at=None,
            run_at=rfc3339_or_none(opened.run_at),
            tags=[*job.tags],
            unique_key=job.unique_key,
            cancel_requested=False,
        )
    )


def only_validates(req: Request) -> bool:
    """Whether a request is to be checked, and nothing more.

    Raises:
        Problem: the parameter is neither true nor false, or there is another one (400).
    """
    if not req.query_string:
        return False
    refuse_unknown(req.params, "validateOnly")
    given = req.params.get("validateOnly") or "false"
    if given not in ("true", "false"):
        raise faulty("validateOnly", "must be true or false")
    return given == "true"


def _not_known(error: DatabaseUnavailable, messages: Sequence[JobMessage], key: IdempotencyKey | None) -> Problem:
    if isinstance(error, NothingDone):
        return Problem(UNAVAILABLE, in_general(error), headers=RETRY_AFTER)
    what = "the job was" if len(messages) == 1 else "the batch was"
    detail = f"Postgres did not answer in time, so it is not known whether {what} accepted."
    if key is not None:
        detail += " Send it again with the same Idempotency-Key: it will not be done twice."
        return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER)
    # All are accepted or none, but another job may stand for one that would have it returned.
    sure = (message for message in messages if message.unique_key is None or message.on_conflict != "return")
    if (witness := next(sure, None)) is None:
        detail += " No id tells it, as another job may stand for this one. With an Idempotency-Key you could ask again."
        return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER)
    job_id = witness.message_id
    detail += (
        f" GET /jobs/{job_id} tells: if there is such a job, it was. If there is none, that proves nothing until"
        " a minute has passed; then submit it again. With an Idempotency-Key it could be sent again at once."
    )
    return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER, job_id=job_id)
