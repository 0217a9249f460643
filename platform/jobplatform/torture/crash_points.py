"""Named points at which a process under torture kills itself: exactly between two steps that belong together.

The injector lays a file with the point's name into a folder. The first process that gets there and can remove it dies.
"""

import os
import signal
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final

from jobplatform import journal
from jobplatform.consumer import JobConsumer
from jobplatform.hints import HintSender
from jobplatform.torture.effects import DIES, EffectFile, torture_folder

#: Each with what has and what has not happened when the process dies there.
POINTS: Final = {
    "before-open": "API: the request is read, nothing is written",
    "after-open": "API: the job is committed, its hint is not sent and the client has no answer",
    "after-send": "API or keeper: hints are sent, nobody knows",
    "after-wake": "worker: a hint has woken it and left the queue, nothing is fetched",
    "after-fetch": "worker: hints are taken out of Redis, nothing is claimed",
    "before-claim": "worker: about to claim",
    "after-claim": "worker: the claim is committed, the actor has not begun",
    "in-actor": "worker: the actor has begun, its effect has not happened",
    "after-effect": "worker: the effect has happened, the actor has not returned",
    "before-settle": "worker: the actor has returned, its outcome is not written",
    "after-settle": "worker: the outcome is written, the hint is not acknowledged and no follow-up is sent",
    "after-release": "keeper: due jobs are queued, their hints are not sent",
    "after-rescue": "keeper: the dead's jobs are queued, their hints are not sent",
    "after-resend": "keeper: lost hints are stamped anew, not sent",
}


def points_folder(folder: Path) -> Path:
    """Where the injector lays its files."""
    return folder / "points"


def reach(point: str) -> None:
    """Die here, if the injector wants it."""
    try:
        (points_folder(torture_folder()) / point).unlink()
    except OSError:
        return
    die(point)


def die(where: str, job_id: str = "-", attempt: int = 0) -> None:
    """Put on record that this process kills itself, and do it."""
    EffectFile(torture_folder()).note(job_id, attempt, DIES + where)
    os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Make the engine of this process pass by the points."""
    journal.commit = _around_commit(journal.commit)  # type: ignore[assignment]
    for duty in ("release", "rescue", "resend"):
        setattr(journal, duty, _after(getattr(journal, duty), f"after-{duty}", _brings_hints))
    HintSender.send = _after(HintSender.send, "after-send", bool)  # type: ignore[method-assign]
    JobConsumer._wait_for_hint = _after(  # type: ignore[method-assign]
        JobConsumer._wait_for_hint, "after-wake", bool
    )
    JobConsumer._run_script = _after(  # type: ignore[method-assign]
        JobConsumer._run_script, "after-fetch", lambda answer: bool(answer[0])
    )


def _around_commit(commit: Callable[[Sequence[journal.Item]], Any]) -> Callable[[Sequence[journal.Item]], Any]:
    @wraps(commit)
    def committed(items: Sequence[journal.Item]) -> Any:
        kinds = {type(item).__name__.lower() for item in items} & {"open", "claim", "settle"}
        for kind in kinds:
            reach(f"before-{kind}")
        answer = commit(items)
        for kind in kinds:
            reach(f"after-{kind}")
        return answer

    return committed


def _after(act: Callable[..., Any], point: str, counts: Callable[[Any], bool]) -> Callable[..., Any]:
    @wraps(act)
    def acted(*args: Any, **kwargs: Any) -> Any:
        answer = act(*args, **kwargs)
        if counts(answer):
            reach(point)
        return answer

    return acted


def _brings_hints(answer: Any) -> bool:
    return bool(answer[1] if isinstance(answer, tuple) else answer)
