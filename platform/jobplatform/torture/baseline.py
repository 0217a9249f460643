"""The same load and the same faults for plain Dramatiq: what is lost and doubled there, by the same oracle."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg2

from jobplatform.torture.effects import EFFECT, START, EffectFile
from jobplatform.torture.oracle import Accepted, Oracle
from jobplatform.torture.probes import PROBES
from jobplatform.torture.report import Report, counted, quantiles
from jobplatform.torture.run import Order, hurt
from jobplatform.torture.sessions import query
from jobplatform.torture.stack import Programs, Shape, Stack
from jobplatform.torture.watch import Watch

_SCHEMA: Final = """
CREATE TABLE naive_jobs (
    id text PRIMARY KEY, type text NOT NULL, status text NOT NULL, attempts integer NOT NULL DEFAULT 0
)
"""
_FINAL: Final = ("completed", "failed")


def run_baseline(order: Order, say: Callable[[str], None]) -> Report:
    """Torture plain Dramatiq. Call it from the main thread."""
    folder = Path(tempfile.mkdtemp(prefix="jobplatform-baseline-"))
    folder.chmod(0o711)
    oracle = Oracle()
    stack = Stack(folder, order.shape, _PLAIN, say)
    try:
        stack.start()
        say(f"Plain Dramatiq runs in {folder}")
        watch = Watch(stack)
        hurt(order, stack, oracle, watch, say, cancel=None)
        deadline = time.monotonic() + order.deadline
        while time.monotonic() < deadline and _unfinished(stack, oracle):
            stack.crew.tick()
            watch.look()
            time.sleep(0.1)
        return _report(order, stack, oracle)
    finally:
        stack.stop()
        if not order.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _statuses(stack: Stack) -> dict[str, tuple[str, int]]:
    rows = query(stack.database_url, "SELECT id, status, attempts FROM naive_jobs")
    return {job_id: (status, attempts) for job_id, status, attempts in rows}


def _unfinished(stack: Stack, oracle: Oracle) -> int:
    try:
        rows = _statuses(stack)
    except psycopg2.OperationalError:
        return -1
    return sum(rows.get(job_id, ("", 0))[0] not in _FINAL for job_id in oracle.accepted)


def _report(order: Order, stack: Stack, oracle: Oracle) -> Report:
    rows = _statuses(stack)
    effects = list(EffectFile(stack.folder).lines())
    done = Counter(line.job_id for line in effects if line.what == EFFECT)
    begun = {line.job_id for line in effects if line.what == START}
    follow_ups = Counter(line.job_id for line in effects if line.what == f"follow-{EFFECT}")
    deaths = [line.what for line in effects if line.what.startswith("dies:")]
    effectless = {probe.type for probe in PROBES if probe.ends == "failed"}
    accepted = oracle.accepted.values()
    unfinished = [job for job in accepted if rows.get(job.job_id, ("", 0))[0] not in _FINAL]
    never_done = [job for job in accepted if job.type not in effectless and not done[job.job_id]]
    report = Report(f"Plain Dramatiq, seed {order.seed}: {len(oracle.accepted)} jobs accepted")
    report.repeat = order.repeat
    report.section("Faults", *counted(oracle.faults))
    report.section(
        f"Processes killed: {sum(oracle.kills.values()) + len(deaths)}", *counted({**oracle.kills, **Counter(deaths)})
    )
    report.section("Statuses", *counted(Counter(status for status, _ in rows.values())))
    report.section("POSTs without a 201", *counted(Counter(oracle.unknown.values())))
    report.section(
        "How long an answer took",
        f"201: {quantiles([job.took for job in accepted])}",
        f"other: {quantiles([took for _, why, took in oracle.refusals if why.isdecimal()])}",
    )
    report.section(
        f"{order.deadline:.0f} s after the last fault",
        f"{len(unfinished):>6}  accepted jobs have no end on record",
        f"{len(never_done):>6}  accepted jobs never had their effect",
        f"{sum(job.job_id not in begun for job in accepted):>6}  accepted jobs never began",
        f"{sum(bool(done[job.job_id]) for job in unfinished):>6}  had their effect, and no end is on record",
        f"{sum(1 for job in accepted if done[job.job_id] > 1):>6}  had their effect more than once",
        f"{sum(1 for job in accepted if job.type == 'PROBE_ONCE' and done[job.job_id] > 1):>6}  of them must not",
        f"{_chains_cut(accepted, done, follow_ups):>6}  chains were cut: the follow-up never came",
        f"{sum(job.type == 'PROBE_POISON' for job in unfinished):>6}  poison jobs still go round",
    )
    report.broken = {
        "accepted jobs without an end": [f"{job.type} {job.job_id}" for job in unfinished],
        "accepted jobs without their effect": [f"{job.type} {job.job_id}" for job in never_done],
    }
    return report


def _chains_cut(accepted: Iterable[Accepted], done: Counter[str], follow_ups: Counter[str]) -> int:
    return sum(job.type == "PROBE_CHAIN" and bool(done[job.job_id]) and not follow_ups[job.job_id] for job in accepted)


def _migrate(url: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_SCHEMA)


def _gunicorn(port: int, workers: int) -> Sequence[str]:
    address = f"127.0.0.1:{port}"
    words = ("gunicorn", "jobplatform.torture.naive_api:application", "--bind", address, "--workers", str(workers))
    return (*words, "--worker-class", "gthread", "--threads", "8", "--log-level", "warning", "--no-control-socket")


def _dramatiq(shape: Shape) -> Sequence[str]:
    processes, threads = str(shape.worker_processes), str(shape.worker_threads)
    return ("dramatiq", "jobplatform.torture.naive_actors", "--processes", processes, "--threads", threads)


_PLAIN: Final = Programs(api=_gunicorn, worker=_dramatiq, keeper=None, migrate=_migrate, ready="/", actors="unused")
