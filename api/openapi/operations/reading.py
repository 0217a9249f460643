"""Operations that look at jobs."""

from typing import Final

from api.openapi.operation import Answer, Operation
from api.openapi.parameters import FILTER
from api.openapi.schemas import items_of, page_of, ref

_STREAM: Final = {"text/event-stream": {"type": "string"}}
_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILE_HEADERS: Final = ("ETag", "Accept-Ranges", "Content-Disposition", "Repr-Digest")

OPERATIONS: Final = (
    Operation(
        method="get",
        path="/jobs",
        id="listJobs",
        tag="jobs",
        summary="List jobs, page by page",
        description="A page may be short, or empty: the list is at its end where `next` is null.",
        parameters=(*FILTER, "order", "limit", "cursor"),
        answers={200: Answer(description="A page of jobs.", schema=page_of("Job"))},
        problems=("invalid-parameter",),
    ),
    Operation(
        method="get",
        path="/jobs/counts",
        id="countJobs",
        tag="jobs",
        summary="Count all jobs by status and type",
        answers={200: Answer(description="The counts, exact.", schema=ref("Counts"))},
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}",
        id="showJob",
        tag="jobs",
        summary="Show a job, now or when it is final",
        parameters=("job_id", "wait", "Prefer", "If-None-Match"),
        answers={
            200: Answer(description="The job.", schema=ref("Job"), headers=("ETag", "Preference-Applied")),
            304: Answer(description="It is as you know it.", headers=("ETag", "Preference-Applied")),
        },
        problems=("invalid-parameter", "job-not-found"),
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}/events",
        id="listEvents",
        tag="jobs",
        summary="List a job's transitions in their order, or watch them",
        description="With `Accept: text/event-stream` they come as they happen, until the job is final.",
        parameters=("job_id", "Last-Event-ID", "lastEventId"),
        answers={
            200: Answer(description="The transitions.", schema=items_of("Event"), also=_STREAM),
            204: Answer(description="The stream is over: the job is final, and you know its last transition."),
        },
        problems=("invalid-request", "invalid-parameter", "job-not-found"),
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}/logs",
        id="listLogs",
        tag="jobs",
        summary="List the lines that a job logged",
        parameters=("job_id", "attempt", "limit", "cursor"),
        answers={200: Answer(description="A page of lines, in their order.", schema=page_of("LogLine"))},
        problems=("invalid-parameter", "job-not-found"),
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}/payloads",
        id="listPayloads",
        tag="jobs",
        summary="List the payloads that a job has had",
        parameters=("job_id",),
        answers={200: Answer(description="The payloads, the current one last.", schema=items_of("PayloadVersion"))},
        problems=("job-not-found",),
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}/output",
        id="downloadOutput",
        tag="jobs",
        summary="Download the file that a job made",
        parameters=("job_id", "Range", "If-Range", "If-None-Match"),
        answers={
            200: Answer(description="The file.", schema=_FILE, media_type="*/*", headers=_FILE_HEADERS),
            206: Answer(
                description="The part that was asked for.",
                schema=_FILE,
                media_type="*/*",
                headers=(*_FILE_HEADERS, "Content-Range"),
            ),
            304: Answer(description="It is as you know it.", headers=("ETag",)),
        },
        problems=("job-not-found", "no-output", "output-not-ready", "output-gone", "range-not-satisfiable"),
    ),
    Operation(
        method="get",
        path="/jobs/{job_id}/explain",
        id="explainJob",
        tag="jobs",
        summary="Say why a job is not running, or how it came to its end",
        parameters=("job_id",),
        answers={200: Answer(description="The reasons, the weightiest first.", schema=ref("Explanation"))},
        problems=("job-not-found",),
    ),
)
