"""``POST /queues/{name}/pause`` and ``/resume``: having a queue rest, and go on."""

import time
from typing import Final

import falcon.asgi
import msgspec

from api.act_body import ReasonBody, read_body
from api.answers import Answers
from api.problems import QUEUE_NOT_FOUND, Problem
from api.queues import Queues
from api.reply import NO_STORE, reply
from api.request import Request
from api.submission import ENVELOPE_BYTES
from jobplatform.broker import JobBroker
from jobplatform.journal import PauseQueue, QueueAnswer, ResumeQueue
from jobplatform.settings import Settings
from jobplatform.states import QUEUES

_ACTS: Final = {"pause": PauseQueue, "resume": ResumeQueue}


class QueueAct:
    """Pausing queues, or resuming them. Either may be asked again: it is as it is to be."""

    def __init__(self, act: str, broker: JobBroker, queues: Queues, answers: Answers, settings: Settings) -> None:
        """``act`` is ``pause`` or ``resume``."""
        self._act = _ACTS[act]
        self._writer = broker.recorder.acts_writer
        self._queues = queues
        self._answers = answers
        self._timeout = settings.submit_timeout / 1000

    async def on_post(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        """Do it, on record as an action, and show the queue."""
        _known(name)  # before the body, of which nothing is said where there is no queue
        body = await read_body(req, ReasonBody, ENVELOPE_BYTES)
        await self.act(req, name, body.reason)
        (queue,) = [queue for queue in await self._queues.items() if queue.name == name]
        reply(resp, msgspec.json.encode(queue), NO_STORE)

    async def act(self, req: Request, name: str, reason: str | None) -> QueueAnswer:
        """Do it to this queue, for whoever sent the request. Whether it changed anything.

        Raises:
            Problem: there is no such queue (404).
            DatabaseUnavailable: it is not known whether it was done.
        """
        _known(name)
        item = self._act(name, req.who, reason, req.request_id, time.monotonic() + self._timeout)
        answer: QueueAnswer = await self._answers.of(self._writer.put(item))
        return answer


def _known(name: str) -> None:
    if name not in QUEUES:
        raise Problem(QUEUE_NOT_FOUND, f"The queues are {' and '.join(QUEUES)}.")
