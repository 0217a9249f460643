"""The API: plain WSGI, a connection to Postgres for each request."""

from uuid import UUID

import falcon
from records import Job, database
from tasks import nothing

ACTORS = {"NOTHING": nothing}


class Ready:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {"status": "ready"}


class Jobs:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        new = req.get_media()
        actor = ACTORS.get(new.get("type"))
        payload = new.get("payload")
        if actor is None or not isinstance(payload, dict):
            raise falcon.HTTPUnprocessableEntity(description="A job needs a known type and a payload.")
        if not isinstance(payload.get("n"), int) or not isinstance(payload.get("text"), str):
            raise falcon.HTTPUnprocessableEntity(description="The payload needs a number n and a text.")
        message = actor.send(n=payload["n"], text=payload["text"])
        resp.status = falcon.HTTP_201
        resp.location = f"/jobs/{message.message_id}"
        resp.media = {
            "id": message.message_id,
            "type": message.actor_name,
            "status": "queued",
            "payload": message.kwargs,
        }


class OneJob:
    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: UUID) -> None:
        with database.connection_context():
            job = Job.get_or_none(Job.id == job_id)
        if job is None:
            raise falcon.HTTPNotFound(description="There is no such job.")
        resp.media = {
            "id": str(job.id),
            "type": job.type,
            "status": job.status,
            "payload": job.payload,
            "result": job.result,
            "error": job.error,
            "created_at": job.created_at.isoformat(),
            "started_at": job.started_at and job.started_at.isoformat(),
            "finished_at": job.finished_at and job.finished_at.isoformat(),
        }


app = falcon.App()
app.add_route("/ready", Ready())
app.add_route("/jobs", Jobs())
app.add_route("/jobs/{job_id:uuid}", OneJob())
