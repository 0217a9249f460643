"""One run: start, submit, hurt, heal, wait, examine, report."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg2
import redis

from jobplatform import journal
from jobplatform.connection import give_up_connection, open_connection
from jobplatform.hints import SILENT_FOR, queue_key, woken_key
from jobplatform.models import connect_to
from jobplatform.states import QUEUES
from jobplatform.torture.effects import EffectFile
from jobplatform.torture.examiner import Examiner
from jobplatform.torture.histories import examine_histories
from jobplatform.torture.injector import Injector
from jobplatform.torture.oracle import Oracle
from jobplatform.torture.plan import plan
from jobplatform.torture.record import read_record
from jobplatform.torture.report import Report, counted, quantiles
from jobplatform.torture.sessions import query, redis_client
from jobplatform.torture.stack import PLATFORM, Shape, Stack
from jobplatform.torture.submitter import Submitter
from jobplatform.torture.watch import Watch

_TICK: Final = 0.1
#: Of the rescues that took longer than so many seconds, so many are told of.
_SLOW: Final = 5.0
_SLOWEST: Final = 12
#: The limits of a run are shorter than the defaults only where a run of minutes could not reach those.
SETTINGS: Final = {"FROZEN_AFTER": "6000", "SHUTDOWN_GRACE": "2000", "CRASH_LIMIT": "3"}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a run is to be."""

    seed: int
    jobs: int
    #: How long jobs are submitted and faults are done.
    seconds: float
    #: How long the healed stack may take to bring every job to its end.
    deadline: float
    deck: dict[str, int]
    shape: Shape
    repeat: str
    keep: bool = False


def run(order: Order, say: Callable[[str], None]) -> Report:
    """Torture the platform. Call it from the main thread."""
    folder = Path(tempfile.mkdtemp(prefix="jobplatform-torture-"))
    folder.chmod(0o711)
    oracle = Oracle()
    stack = Stack(folder, order.shape, PLATFORM, say)
    report = None
    try:
        stack.start()
        oracle.harm("postgres was hurt", None, time.time() + 15)  # keepers give it a grace after its start
        watch = Watch(stack)
        say(f"The stack runs in {folder}")
        began = time.monotonic()
        hurt(order, stack, oracle, watch, say, cancel=_canceller(stack, oracle, say))
        took = _wait(order, stack, watch, say)
        report = _report(order, stack, oracle, watch, time.monotonic() - began, took)
    finally:
        stack.stop()
        if report is not None and report.sound and not order.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"Everything is kept in {folder}")
    return report


def hurt(
    order: Order,
    stack: Stack,
    oracle: Oracle,
    watch: Watch,
    say: Callable[[str], None],
    *,
    cancel: Callable[[str], None] | None,
) -> None:
    """Submit and inject until both are done, and heal."""
    ports = [group.port for group in stack.of("api")]
    submitter = Submitter(oracle, ports, jobs=order.jobs, seconds=order.seconds, seed=order.seed, cancel=cancel)
    frozen_after = int(dict(order.shape.settings)["FROZEN_AFTER"]) / 1000
    injector = Injector(stack, oracle, plan(order.deck, order.seed, order.seconds), say, frozen_after)
    submitter.start()
    injector.start()
    latest = time.monotonic() + 2 * order.seconds + 60
    try:
        while not (submitter.done and injector.done) and time.monotonic() < latest:
            stack.crew.tick()
            watch.look()
            time.sleep(_TICK)
    finally:
        injector.stop()
        submitter.stop()
    _heal(stack)


def _canceller(stack: Stack, oracle: Oracle, say: Callable[[str], None]) -> Callable[[str], None]:
    connect_to(stack.database_url)

    def cancel(job_id: str) -> None:
        oracle.cancelled.add(job_id)
        try:
            open_connection()
            journal.commit([journal.Cancel(job_id, who="torture", reason="at random")])
        except Exception as error:  # Postgres is away: then it is not cancelled, or it is
            say(f"a cancel came to nothing: {type(error).__name__}")
        finally:
            give_up_connection()

    return cancel


def _heal(stack: Stack) -> None:
    stack.crew.tick()
    try:
        os.kill(stack.valkey.pid, signal.SIGCONT)
        with redis_client(stack) as client:
            client.config_set("maxmemory", 0)
    except (OSError, redis.RedisError):
        return  # it is started anew, and has forgotten what was set


def _wait(order: Order, stack: Stack, watch: Watch, say: Callable[[str], None]) -> float:
    """Until every job is final, or the deadline. Seconds."""
    began = time.monotonic()
    left = -1
    while time.monotonic() - began < order.deadline:
        stack.crew.tick()
        watch.look()
        try:
            ((left,),) = query(stack.database_url, "SELECT count(*) FROM jobs WHERE finished_at IS NULL")
        except psycopg2.OperationalError:
            left = -1
        if left == 0 and stack.crew.settled():
            break
        time.sleep(5 * _TICK)
    say(f"{left} jobs are left after {time.monotonic() - began:.1f} s")
    return time.monotonic() - began


def _report(order: Order, stack: Stack, oracle: Oracle, watch: Watch, seconds: float, healed_in: float) -> Report:
    left_in_redis = _left_in_redis(stack)
    record = read_record(stack.database_url)
    effects = list(EffectFile(stack.folder).lines())
    crash_limit = int(dict(order.shape.settings)["CRASH_LIMIT"])
    examiner = Examiner(record, oracle, effects, watch.last_seen, crash_limit, stack.output)
    report = Report(f"Torture, seed {order.seed}: {len(oracle.accepted)} jobs accepted in {seconds:.0f} s")
    report.repeat = order.repeat
    ends = [line.what for line in effects if line.what.startswith("dies:")]
    report.section("Faults", *counted(oracle.faults))
    suicides = {what: ends.count(what) for what in set(ends)}
    report.section(
        f"Processes killed: {sum(oracle.kills.values()) + len(ends)}", *counted({**oracle.kills, **suicides})
    )
    statuses: dict[str, int] = {}
    for row in record.jobs.values():
        statuses[row.status] = statuses.get(row.status, 0) + 1
    why: dict[str, int] = {}
    for reason in oracle.unknown.values():
        why[reason] = why.get(reason, 0) + 1
    report.section("Jobs on record", *counted(statuses), f"{healed_in:.1f} s from the last fault to the last end")
    events: dict[str, int] = {}
    for history in record.histories.values():
        for step in history:
            events[step.event] = events.get(step.event, 0) + 1
    report.section("Transitions", *counted(events))
    report.section("POSTs without a 201", *counted(why))
    report.section(
        "How long an answer took",
        f"201: {quantiles([job.took for job in oracle.accepted.values()])}",
        f"other: {quantiles([took for _, why, took in oracle.refusals if why.isdecimal()])}",
    )
    rescues = examiner.rescues()
    calm = [rescue for rescue in rescues if rescue.calm]
    slow = [rescue for rescue in calm if rescue.again > _SLOW and not rescue.suspect]
    report.section(
        "From a kill to the next start of each job that ran there",
        f"taken back:   {quantiles([rescue.taken for rescue in calm])}",
        f"run again:    {quantiles([rescue.again for rescue in calm if not rescue.suspect])}",
        f"suspects:     {quantiles([rescue.again for rescue in calm if rescue.suspect])}"
        " (one death before the limit: none beside another)",
        f"in an outage: {quantiles([rescue.again for rescue in rescues if not rescue.calm])}",
        *(f"slow: {rescue.again:.1f} s: {rescue.story}" for rescue in slow[:_SLOWEST]),
    )
    report.section(
        f"Effects that happened once more: {sum(examiner.duplicates().values())}", *counted(examiner.duplicates())
    )
    report.section("Innocents given up after as many deaths as CRASH_LIMIT", f"{examiner.given_up()}")
    report.broken = {
        "accepted jobs lost": list(examiner.lost()),
        "jobs stuck": list(examiner.stuck()),
        "illegal histories": examine_histories(stack.database_url).faults,
        "jobs that ended as their type does not": list(examiner.ended_otherwise()),
        "poison jobs not quarantined after exactly CRASH_LIMIT deaths": list(examiner.poison_not_quarantined()),
        "completed jobs without effect": list(examiner.without_effect()),
        "attempts run that were not claimed, or twice": list(examiner.unclaimed_runs()),
        "jobs that nobody asked for": list(examiner.unasked()),
        "chains without exactly one follow-up": list(examiner.follow_ups()),
        "jobs begun early": list(examiner.early()),
        'jobs run again despite on_crash="fail"': list(examiner.twice_despite_fail()),
        "files missing or damaged": list(examiner.files()),
        "live workers declared dead": list(examiner.declared_dead_alive()),
        "duplicate effects without an explanation": examiner.unexplained(),
        "hints left in Redis": left_in_redis,
    }
    return report


def _left_in_redis(stack: Stack) -> list[str]:
    """What is still in the queues' lists, or in those of workers that were woken, when all is done (I8).

    What woke a worker that died at the wrong moment returns when it has long been silent.
    """
    deadline = time.monotonic() + 2 * SILENT_FOR
    while True:
        with redis_client(stack) as client:
            keys = [*map(queue_key, QUEUES), *map(bytes.decode, client.scan_iter(woken_key("*", "*")))]
            lengths = {key: client.llen(key) for key in keys}
        left = [f"{length} in {key}" for key, length in lengths.items() if length]
        if not left or time.monotonic() > deadline:
            return left
        stack.crew.tick()
        time.sleep(_TICK)
