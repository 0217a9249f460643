"""A small WSGI API before plain Dramatiq: ``POST /jobs`` as the platform's, a row and then a message."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from jobplatform.torture.naive_actors import broker, execute


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Accept a job. What goes wrong is a 500, as usual."""
    if environ["REQUEST_METHOD"] == "GET":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ready"]
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    delay = None
    if body.get("runAt"):
        seconds = (datetime.fromisoformat(body["runAt"]) - datetime.now(UTC)).total_seconds()
        delay = max(0, int(seconds * 1000))
    actor = broker.get_actor(body["type"])
    message = actor.message_with_options(kwargs=body["payload"])
    execute("INSERT INTO naive_jobs (id, type, status) VALUES (%s, %s, 'queued')", message.message_id, body["type"])
    broker.enqueue(message, delay=delay)
    answer = json.dumps({"jobId": message.message_id}).encode()
    start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
