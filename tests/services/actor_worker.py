"""A real worker with the actors of ACTORS, the jobs that it is given, and what became of them."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import redis

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.databases import fresh_database
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

_SUBMIT = """
import json, sys
from jobplatform import worker
from jobplatform.broker import broker

for job in json.load(sys.stdin):
    actor = broker.types[job["type"]]
    payload = job["payload"]
    actor.signature.check(payload)
    message = actor.message_from_json(payload, priority=job["priority"], options=job["options"])
    broker.submit([message]).result(20)
    print(message.message_id)
"""


@contextmanager
def actor_worker(
    postgres_server: Postgres, redis_server: Valkey, folder: Path, **variables: str
) -> Iterator["ActorWorker"]:
    """A worker on a database of its own and an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    processes = Processes()
    with fresh_database(postgres_server) as url:
        try:
            yield ActorWorker(processes, url, redis_server.url, folder, **variables)
        finally:
            processes.stop_all()


class ActorWorker:
    """One `dramatiq` process with four threads; files go to ``output``."""

    def __init__(self, processes: Processes, database_url: str, redis_url: str, folder: Path, **variables: str):
        self.output = folder / "output"
        self._processes = processes
        self._url = database_url
        self._variables = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "OUTPUT_DIR": str(self.output),
            "MIN_BACKOFF": "50",
            "KEEPER_TICK": "50",
            **variables,
        }
        self._folder = folder
        program = Path(sysconfig.get_path("scripts")) / "dramatiq"
        words = ("jobplatform.worker", "-p", "1", "-t", "4")
        self.process: Process = processes.start(program, *words, environment=self._variables, folder=folder)

    def submit(
        self,
        type: str,  # noqa: A002
        payload: Mapping[str, Any] | str,
        priority: str = "default",
        **options: int,
    ) -> str:
        """Check a payload as the API does, and have the job accepted. Returns its id."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        submitted = subprocess.run(
            [sys.executable, "-c", _SUBMIT],
            input=json.dumps([{"type": type, "payload": text, "priority": priority, "options": options}]),
            env=self._processes.environment(self._variables),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert submitted.returncode == 0, submitted.stderr
        return submitted.stdout.strip()

    def end_of(self, job_id: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until the job is final; its status, attempts, result, error and progress."""

        def final() -> dict[str, Any]:
            columns = ("status", "attempts", "result", "error", "progress")
            row = self._row(f"SELECT {', '.join(columns)} FROM jobs WHERE id = %s AND finished_at IS NOT NULL", job_id)
            return dict(zip(columns, row, strict=True)) if row else {}

        try:
            return eventually(final, seconds, what=f"the end of job {job_id}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.events_of(job_id)}\n{self.process.output}") from None

    def events_of(self, job_id: str) -> list[str]:
        """The names of the job's transitions, in order."""
        (events,) = self._row("SELECT array_agg(event ORDER BY id) FROM transitions WHERE job_id = %s", job_id)
        return list(events or [])

    def details_of(self, job_id: str, event: str) -> list[Any]:
        """What the job's transitions of one kind tell, in order."""
        (details,) = self._row(
            "SELECT array_agg(detail ORDER BY id) FROM transitions WHERE job_id = %s AND event = %s", job_id, event
        )
        return list(details or [])

    @property
    def pid(self) -> int:
        """The process that runs the actors, which is not the one that was started."""
        (pid,) = self._row("SELECT pid FROM workers WHERE ended_at IS NULL")
        return int(pid)

    def memory(self, what: str) -> int:
        """Bytes of the process that runs the actors: ``VmRSS`` is what it has, ``VmHWM`` the most that it had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Count ``VmHWM`` from now on."""
        os.write(descriptor := os.open(f"/proc/{self.pid}/clear_refs", os.O_WRONLY), b"5")
        os.close(descriptor)

    def _row(self, query: str, *values: Any) -> Sequence[Any]:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone() or ()
