"""``GET /ui/queues``: what waits and who serves it; and having a queue rest, and go on."""

from typing import Any, Final, NamedTuple

import falcon.asgi
import msgspec

from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.queue_acts import QueueAct
from api.request import Request
from jobplatform.queries.actions import ActionRow, actions
from jobplatform.queries.counts import Kind
from jobplatform.queries.queues import QueueRow, Rate, queues, rates
from jobplatform.queries.tallies import RANGES, Sums, by_queue
from jobplatform.states import Status

#: Of so many of the newest actions, those on queues are shown.
_LOOKED_AT: Final = 200
_SHOWN: Final = 10
_QUEUE_ACTS: Final = frozenset({"pause", "resume"})


class QueueShown(NamedTuple):
    """A queue as the page shows it."""

    row: QueueRow
    depth: int
    running: int
    rate: Rate | None
    #: What ended in the last hour.
    lately: Sums | None


class Queues:
    """The queues."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._counting = parts.counting

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show all queues, and who had them rest of late."""
        counted = await self._counting.now()
        found = await self._findings.ask(queues)
        started = await self._findings.ask(rates)
        lately = await self._findings.ask(by_queue, RANGES["1h"])
        newest, _ = await self._findings.ask(actions, None, _LOOKED_AT)
        shown = [
            QueueShown(
                row,
                _number(counted, row.name, Status.QUEUED),
                _number(counted, row.name, Status.RUNNING),
                started.get(row.name),
                lately.get(row.name),
            )
            for row in found
        ]
        acts = [action for action in newest if action.kind in _QUEUE_ACTS][:_SHOWN]
        await self._pages.show(req, resp, "queues.html", queues=shown, acts=acts, queue_of=_queue_of)

    on_head = on_get


class QueuePause:
    """Pausing or resuming a queue."""

    def __init__(self, act: str, parts: Parts) -> None:
        """``act`` is ``pause`` or ``resume``."""
        self._act = act
        self._pages = parts.pages
        self._queue_act = QueueAct(act, parts.broker, parts.queues, parts.answers, parts.settings)

    async def on_post(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        """Do it, and show the queues."""
        form = await self._pages.form(req)
        answer = await self._queue_act.act(req, name, form.reason())
        how = "is" if answer.changed else "was already"
        what = "paused" if self._act == "pause" else "going on" if answer.changed else "not paused"
        see_other(resp, "/ui/queues", said=f"The queue {name} {how} {what}.")


def _number(counted: dict[Kind, int], queue: str, status: Status) -> int:
    return sum(number for kind, number in counted.items() if (kind.queue, kind.status) == (queue, status))


def _queue_of(action: ActionRow) -> str:
    filter: dict[str, Any] = msgspec.json.decode(action.filter)  # noqa: A001
    return str(filter.get("queue", ""))
