"""The probe actors on plain Dramatiq, with its defaults, and a status column as many an application keeps one.

What the platform is compared with. Written with goodwill: the row is committed before the message is sent, and the
status is written at the start and at the end of each attempt.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import dramatiq
import psycopg2
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from jobplatform.outputs import open_output
from jobplatform.torture import crash_points
from jobplatform.torture.effects import EFFECT, START, EffectFile, torture_folder
from jobplatform.torture.probes import FOLLOW, PROBES, Probe, Run, begin

broker: Final = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


def execute(statement: str, *values: object) -> None:
    """Write, and commit."""
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def _declare(probe: Probe) -> None:
    # Pauses as short as the platform's; Dramatiq's own begin at 15 s, and 20 retries would take a month.
    retries = {"max_retries": 3, "min_backoff": 1_000}
    options = {name: value for name, value in probe.options.items() if name != "on_crash"}

    @dramatiq.actor(actor_name=probe.type, **{**retries, **options})
    def run(number: int, seconds: float = 0.0) -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None  # noqa: S101 - only Dramatiq calls it
        job_id = message.message_id
        attempt = int(message.options.get("retries", 0)) + 1
        execute("UPDATE naive_jobs SET status = 'running', attempts = attempts + 1 WHERE id = %s", job_id)
        try:
            begin(_run(job_id, attempt, number, seconds), probe.behave)
        except Exception:
            last = attempt > {**retries, **options}["max_retries"] or "throws" in options
            execute("UPDATE naive_jobs SET status = %s WHERE id = %s", "failed" if last else "retrying", job_id)
            raise
        execute("UPDATE naive_jobs SET status = 'completed' WHERE id = %s", job_id)


def _run(job_id: str, attempt: int, number: int, seconds: float) -> Run:
    @contextmanager
    def output(suffix: str) -> Iterator[Any]:
        with open_output(os.environ["OUTPUT_DIR"], f"{job_id}{suffix}") as file:
            yield file

    return Run(
        job_id,
        attempt,
        number,
        seconds,
        progress=lambda *_: None,
        open_output=output,
        reach=crash_points.reach,
        die=crash_points.die,
    )


for each in PROBES:
    _declare(each)


@dramatiq.actor(actor_name=FOLLOW)
def follow(message: dict[str, Any], result: Any = None) -> None:  # noqa: ARG001
    """Done when a PROBE_CHAIN has succeeded."""
    effects = EffectFile(torture_folder())
    effects.note(message["message_id"], 0, f"follow-{START}")
    effects.note(message["message_id"], 0, f"follow-{EFFECT}")
