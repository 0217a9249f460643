"""Operations that make jobs."""

from typing import Final

from api.openapi.operation import Answer, Operation
from api.openapi.schemas import items_of, ref

_TABLE: Final = {"type": "CSV_EXPORT", "payload": {"data": [{"id": 1, "name": "Ada"}]}}
_LATER: Final = {
    "type": "CSV_EXPORT",
    "payload": {"data": [{"id": 1}], "delimiter": ";"},
    "priority": "high",
    "runAt": "2030-01-31T08:00:00Z",
    "maxRetries": 0,
    "tags": ["nightly"],
    "uniqueKey": "customers",
    "onConflict": "return",
}
#: A job that stands for one that was asked for may have been deleted since.
_PROBLEMS: Final = (
    "invalid-request",
    "job-not-found",
    "unique-key-taken",
    "invalid-job",
    "idempotency-key-reused",
)

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/jobs",
        id="submitJob",
        tag="jobs",
        summary="Submit a job",
        description=(
            "201 means that the job's row is committed: it is not lost. 503 means that it is not known whether it was"
            " accepted; repeat it with the same `Idempotency-Key`."
        ),
        parameters=("Idempotency-Key", "validateOnly"),
        body="Submission",
        examples={"a table as CSV": _TABLE, "all that can be said": _LATER},
        answers={
            200: Answer(
                description=(
                    "The job as it is now: the `Idempotency-Key` was known, or a job has the `uniqueKey` and"
                    " `onConflict` is `return`. With `validateOnly`: it would be accepted."
                ),
                schema={"anyOf": [ref("AcceptedJob"), ref("Valid")]},
                headers=("Optional-Location", "Idempotency-Replayed"),
            ),
            201: Answer(description="Accepted.", schema=ref("AcceptedJob"), headers=("Location",)),
        },
        problems=_PROBLEMS,
    ),
    Operation(
        method="post",
        path="/jobs/batch",
        id="submitJobs",
        tag="jobs",
        summary="Submit up to 10,000 jobs, all or none",
        parameters=("Idempotency-Key", "validateOnly"),
        body="Batch",
        examples={"two tables": {"jobs": [_TABLE, _TABLE]}},
        answers={
            200: Answer(
                description=(
                    "The jobs as they are now: the `Idempotency-Key` was known. With `validateOnly`: they would be"
                    " accepted."
                ),
                schema={"anyOf": [items_of("AcceptedJob"), ref("BatchValid")]},
                headers=("Idempotency-Replayed",),
            ),
            201: Answer(description="Accepted, in this order.", schema=items_of("AcceptedJob")),
        },
        problems=_PROBLEMS,
    ),
)
