"""The app: routes, and what each resource gets. ``application`` builds the one that gunicorn serves."""

import asyncio
import sys
from typing import Any, Final

import falcon.asgi

from api.actions import Actions, OneAction
from api.acts import JobCancel, JobRetry
from api.answers import Answers
from api.batch import Batch
from api.counts import Counting, JobCounts
from api.cursor import Cursors
from api.dashboard.faults import Faults
from api.dashboard.page import Pages
from api.dashboard.parts import Parts
from api.dashboard.routes import add_dashboard
from api.dashboard.session import Sessions
from api.docs_page import DocsFiles, DocsPage, OpenApi, ProblemPages
from api.errors import answer_errors
from api.events import Events, JobEvents
from api.explain import Explain
from api.failures import Failures
from api.feed import live_feed
from api.findings import Findings
from api.gate import Gate
from api.health import Health, Ready
from api.job import Job
from api.job_types import Types
from api.jobs import Jobs
from api.listing import Listing
from api.logs import JobLogs
from api.metrics import Metrics
from api.output import Output
from api.payloads import JobPayloads
from api.places import Places
from api.problems import document
from api.queue_acts import QueueAct
from api.queues import Queues
from api.request import Request, incomplete
from api.streams import Streams
from api.submit import Submit
from api.waits import Waits
from api.workers import Workers
from jobplatform.broker import JobBroker, broker
from jobplatform.errors import SettingsError
from jobplatform.inquiries import Inquiries
from jobplatform.queries.counts import Counts
from jobplatform.reader import Reader
from jobplatform.redis_client import quick_client
from jobplatform.registry import load_actors
from jobplatform.settings import Settings, settings

#: With this exit code of a worker gunicorn stops, where after any other it would start the next one, for ever.
_GIVE_UP: Final = 3


class App(falcon.asgi.App[Request, falcon.asgi.Response]):
    """A Falcon app behind a gate, that knows when it is closing, and answers a request whose body never begins."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(request_type=Request)
        self._gate = gate
        #: Set when the process begins to stop: whatever waits for something ends at once.
        self.closing = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # type: ignore[override]
        """Serve one request.

        Falcon waits for the first piece of the body, and leaves without an answer if the server gives up on it.
        """
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # there are none here, and that is worth no line in the log
            return
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        answer = await self._gate.enter(scope, send)
        if answer is None:
            return
        begun = False

        async def receive_or_refuse() -> Any:
            nonlocal begun
            event = await receive()
            if not begun and event["type"] == "http.disconnect":
                await _refuse(scope, answer)
            begun = True
            return event

        await super().__call__(scope, receive_or_refuse, answer)


def create_app(
    broker: JobBroker, reader: Reader, inquiries: Inquiries, settings: Settings, counts: Counts | None = None
) -> App:
    """Build an app from its parts."""
    findings = Findings(inquiries)
    sessions = Sessions(findings, settings.api_keys)
    pages = Pages(sessions)
    faults = Faults(pages)
    app = App(Gate(settings, sessions, faults))
    # The writer answers at the deadline; this one ends the wait where it does not come to it.
    answers = Answers(settings.submit_timeout + 250)
    cursors = Cursors(findings)
    counting = Counting(findings, counts)
    places = Places()
    waits = Waits(lambda ids: answers.of(reader.statuses(ids)), app.closing, places)
    streams = Streams(live_feed(app.closing, places), inquiries.ask, answers)
    app.add_route("/health", Health())
    ready = Ready(lambda: answers.of(reader.ping()), quick_client(settings.redis_url).ping)
    app.add_route("/ready", ready)
    app.add_route("/types", Types(broker.types))
    description = OpenApi(broker.types, keyed=bool(settings.api_keys))
    app.add_route("/openapi.json", description)
    app.add_route("/docs", DocsPage())
    # The page is open to all, and with keys the job types are not.
    app.add_route("/docs/{file}", DocsFiles(OpenApi({}, keyed=True) if settings.api_keys else description))
    app.add_route("/problems/{name}", ProblemPages())
    app.add_route("/jobs", Jobs(Submit(broker, reader, answers, settings), Listing(findings, cursors)))
    app.add_route("/jobs/batch", Batch(broker, inquiries, answers, settings))
    app.add_route("/jobs/{job_id}", Job(reader, answers, waits))
    app.add_route("/jobs/counts", JobCounts(counting))
    app.add_route("/jobs/{job_id}/logs", JobLogs(findings, cursors))
    app.add_route("/jobs/{job_id}/payloads", JobPayloads(findings))
    app.add_route("/jobs/{job_id}/explain", Explain(findings, ready.redis.look, broker.types, settings))
    app.add_route("/workers", Workers(findings))
    queues = Queues(findings, counting)
    app.add_route("/queues", queues)
    app.add_route("/failures", Failures(findings))
    app.add_route("/metrics", Metrics(broker.types, findings, counting, ready.redis.look))
    app.add_route("/jobs/{job_id}/output", Output(reader, answers, settings.output_dir))
    app.add_route("/jobs/{job_id}/cancel", JobCancel(broker, reader, answers, settings))
    app.add_route("/jobs/{job_id}/retry", JobRetry(broker, reader, answers, settings))
    app.add_route("/queues/{name}/pause", QueueAct("pause", broker, queues, answers, settings))
    app.add_route("/queues/{name}/resume", QueueAct("resume", broker, queues, answers, settings))
    app.add_route("/actions", Actions(broker, findings, cursors, answers, settings))
    app.add_route("/actions/{action_id}", OneAction(findings))
    app.add_route("/jobs/{job_id}/events", JobEvents(reader, answers, streams))
    app.add_route("/events", Events(streams))
    parts = Parts(
        pages=pages,
        broker=broker,
        reader=reader,
        findings=findings,
        cursors=cursors,
        counting=counting,
        answers=answers,
        ready=ready,
        queues=queues,
        settings=settings,
    )
    add_dashboard(app, parts)
    answer_errors(app, faults.write)
    return app


def application() -> App:
    """Build the app of this process from its environment. A worker that cannot stops gunicorn, with one line."""
    try:
        load_actors(settings().actors)
    except SettingsError as error:
        print(f"Cannot start the API: {error}", file=sys.stderr, flush=True)
        raise SystemExit(_GIVE_UP) from None
    inquiries, counts = Inquiries(), Counts()
    inquiries.ask(counts.read)  # the first count takes long where there are many jobs: best before anybody waits for it
    return create_app(broker, Reader(), inquiries, settings(), counts)


async def _refuse(scope: dict[str, Any], send: Any) -> None:
    problem = incomplete()
    body = document(problem, scope["path"])
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
