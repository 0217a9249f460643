"""Operations that look at the platform."""

from typing import Final

from api.openapi.operation import Answer, Operation
from api.openapi.schemas import items_of, ref

_TEXT: Final = {"type": "string"}

OPERATIONS: Final = (
    Operation(
        method="get",
        path="/events",
        id="watchEvents",
        tag="platform",
        summary="Watch the transitions of all jobs",
        description="Server-sent events: `transition`, with the transition's id, and `progress`, without one.",
        parameters=("Last-Event-ID", "lastEventId"),
        answers={200: Answer(description="A stream without end.", schema=_TEXT, media_type="text/event-stream")},
        problems=("invalid-parameter",),
    ),
    Operation(
        method="get",
        path="/queues",
        id="listQueues",
        tag="queues",
        summary="List the queues: what waits, what runs, who works",
        answers={200: Answer(description="The queues.", schema=items_of("Queue"))},
    ),
    Operation(
        method="get",
        path="/workers",
        id="listWorkers",
        tag="platform",
        summary="List the workers and what they run",
        parameters=("ended",),
        answers={200: Answer(description="The workers.", schema=items_of("Worker"))},
        problems=("invalid-parameter",),
    ),
    Operation(
        method="get",
        path="/failures",
        id="listFailures",
        tag="platform",
        summary="List what went wrong lately, alike with alike",
        parameters=("since",),
        answers={200: Answer(description="The groups.", schema=items_of("FailureGroup"))},
        problems=("invalid-parameter",),
    ),
    Operation(
        method="get",
        path="/metrics",
        id="showMetrics",
        tag="platform",
        summary="Show the platform in numbers, for Prometheus",
        description="The same from every process. Names are listed in docs/http.md.",
        answers={
            200: Answer(
                description="The metrics, in the format that `Accept` prefers.",
                schema=_TEXT,
                media_type="text/plain",
                also={"application/openmetrics-text": _TEXT},
            )
        },
    ),
    Operation(
        method="get",
        path="/types",
        id="listTypes",
        tag="platform",
        summary="List the job types with the schemas of their payloads",
        answers={200: Answer(description="The types.", schema=items_of("JobType"))},
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/health",
        id="health",
        tag="platform",
        summary="Say whether the process serves",
        answers={200: Answer(description="It does.", schema=ref("Health"))},
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/ready",
        id="ready",
        tag="platform",
        summary="Say whether jobs can be accepted",
        answers={
            200: Answer(description="They can.", schema=ref("Readiness")),
            503: Answer(description="They cannot.", schema=ref("Readiness"), headers=("Retry-After",)),
        },
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/openapi.json",
        id="describe",
        tag="documents",
        summary="Give this document with the job types",
        parameters=("If-None-Match",),
        answers={
            200: Answer(description="This document.", schema={"type": "object"}, headers=("ETag",)),
            304: Answer(description="It is as you know it.", headers=("ETag",)),
        },
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/docs",
        id="showDocs",
        tag="documents",
        summary="Give the page that shows this document",
        parameters=("If-None-Match",),
        answers={
            200: Answer(description="The page.", schema=_TEXT, media_type="text/html", headers=("ETag",)),
            304: Answer(description="It is as you know it.", headers=("ETag",)),
        },
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/docs/{file}",
        id="giveFile",
        tag="documents",
        summary="Give a file that the page needs",
        parameters=("file", "If-None-Match"),
        answers={
            200: Answer(description="The file.", schema=_TEXT, media_type="*/*", headers=("ETag",)),
            304: Answer(description="It is as you know it.", headers=("ETag",)),
        },
        problems=("not-found",),
        reads_postgres=False,
    ),
    Operation(
        method="get",
        path="/problems/{name}",
        id="explainProblem",
        tag="documents",
        summary="Explain a kind of problem",
        parameters=("problem", "If-None-Match"),
        answers={
            200: Answer(description="What it means.", schema=_TEXT, media_type="text/markdown", headers=("ETag",)),
            304: Answer(description="It is as you know it.", headers=("ETag",)),
        },
        problems=("not-found",),
        reads_postgres=False,
    ),
)
