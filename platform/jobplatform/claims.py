"""Claiming the jobs that hints name, for the worker threads of this process."""

import logging
import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from jobplatform.answer import Answer
from jobplatform.attempt import Attempt
from jobplatform.hands import Hands
from jobplatform.hints import HintSender, type_of
from jobplatform.journal import Claim, Claimed, Hint, Refused, Settle
from jobplatform.lifeline import Lifeline
from jobplatform.states import Event
from jobplatform.writer import Writer

if TYPE_CHECKING:
    from jobplatform.job_actor import JobActor

log: Final = logging.getLogger(__name__)

#: How often a thread that waits for Postgres looks whether its worker is stopping, in seconds.
_LOOK_UP: Final = 0.5


class QueuePaused(SkipMessage):
    """The job waits for the end of a pause, and its hint where it was."""


class JobWaits(SkipMessage):
    """The job waits: for the end of another suspect one, or, as this worker was declared dead, for another worker."""


class Claims:
    """Asks the writer, and waits for the answer as long as Postgres takes.

    ``crash_limit`` deaths end a job. One death before that it is suspect, and runs beside no other suspect job: so it
    takes no innocent one along (P22).
    """

    def __init__(self, writer: Writer, sender: HintSender, hands: Hands, crash_limit: int) -> None:
        self._writer = writer
        self._sender = sender
        self._hands = hands
        self._suspect_from = max(1, crash_limit - 1)
        self._lock = threading.Lock()
        self._unsent: list[Hint] = []

    def claim(self, message: MessageProxy, actor: "JobActor[..., Any]", lifeline: Lifeline) -> tuple[Attempt, Claimed]:
        """The attempt that begins, now in this process' hands, and what to run.

        Raises:
            QueuePaused: not now; the hint is to be put back.
            JobWaits: not now, or not here; the hint is to go round.
            SkipMessage: it is not to be run, or not here, or not now. The hint has served its purpose.
        """
        worker = lifeline.wait_for_id()
        if worker is None or lifeline.stopping:
            self.give_back([message])
            raise SkipMessage("The worker is stopping.")
        claim = Claim(message.message_id, actor.type, str(uuid.uuid4()), worker, self._suspect_from)
        self._hands.expect(claim.token)
        try:
            answer = self._ask(claim, actor.queue_name, lifeline)
            if isinstance(answer, Refused) and answer.paused:
                raise QueuePaused("The queue is paused.")
            if isinstance(answer, Refused) and answer.known and answer.waits:
                raise JobWaits("The job may not begin here now.")
            if isinstance(answer, Refused):
                raise SkipMessage(_why(claim, answer))
        except BaseException:
            # Should it be granted all the same, it is in no hand, and the next beats give it back (P6).
            self._hands.let_go(claim.token)
            raise
        if answer.suspect:
            log.warning("Job %s has taken its workers down, and runs beside no other of that kind.", claim.job_id)
        attempt = Attempt(
            job_id=claim.job_id,
            type=actor.type,
            queue=actor.queue_name,
            number=answer.attempt,
            token=claim.token,
            worker=worker,
            retries=answer.retries,
            on_crash=answer.on_crash,
        )
        self._hands.take(attempt)
        return attempt, answer

    def ended(self, attempt: Attempt) -> None:
        """An attempt's outcome is written."""
        self._hands.let_go(attempt.token)

    def lost(self, attempt: Attempt) -> None:
        """An attempt's outcome will not be written: the next beats give it back (P6)."""
        self._hands.lose(attempt)

    def give_back(self, messages: Sequence[MessageProxy] = ()) -> None:
        """Send these hints again: another worker may be free for them."""
        with self._lock:
            hints, self._unsent = self._unsent, []
        hints += [_hint(message) for message in messages]
        if hints and not self._sender.send(hints):
            with self._lock:
                self._unsent += hints  # Redis takes none now: the next beat tries again

    def send_round(self, messages: Sequence[MessageProxy]) -> bool:
        """Send hints like these to the tail of their queues. Whether that is known to have been done."""
        return self._sender.send([_hint(message) for message in messages])

    def _ask(self, claim: Claim, queue: str, lifeline: Lifeline) -> Claimed | Refused:
        answer: Answer[Claimed | Refused] = self._writer.put(claim)
        while True:
            try:
                return answer.result(_LOOK_UP)
            except TimeoutError:
                if lifeline.stopping:
                    answer.add_done_callback(lambda late: self._undo(claim, queue, late))
                    raise SkipMessage("The worker is stopping.") from None

    def _undo(self, claim: Claim, queue: str, late: "Answer[Claimed | Refused]") -> None:
        """Give back at once what was granted when nobody waited any more: its actor never began (P21)."""
        if late.exception() is None and isinstance(granted := late.result(), Claimed):
            attempt = granted.attempt
            self._writer.put(
                Settle(claim.job_id, claim.type, queue, attempt, claim.token, claim.worker, Event.INTERRUPTED)
            )


def _why(claim: Claim, refused: Refused) -> str:
    if refused.known:
        return "The job is not queued any more."
    log.warning("A hint names a job that is not on record: %s %s", claim.type, claim.job_id)
    return "There is no such job."


def _hint(message: MessageProxy) -> Hint:
    """To be sent again, without a stamp: at the tail it says nothing of the hints before it, and gives no watermark."""
    return Hint(message.message_id, type_of(message.actor_name), message.queue_name, 0)
