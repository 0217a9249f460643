"""Real workers, a way to hand them jobs, and a way to read what became of these."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jobplatform import journal
from jobplatform.hints import HintSender
from jobplatform.journal import Cancel, Open
from jobplatform.redis_client import patient_client, quick_client
from jobplatform.writer import Writer
from tests.services import journal as recorded
from tests.services.journal import connected, new_job
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

#: So quick that tests need not wait: times in milliseconds.
_QUICK: Final = {
    "KEEPER_TICK": "50",
    "RESEND_GRACE": "400",
    "MIN_BACKOFF": "10",
    "MAX_BACKOFF": "50",
    "MAX_RETRIES": "2",
}

_FINAL: Final = ("completed", "failed", "cancelled")


class Fleet:
    """One database, one Redis, and the workers that a test starts for them."""

    def __init__(self, database_url: str, redis_url: str, processes: Processes, folder: Path) -> None:
        self.url = database_url
        self.redis_url = redis_url
        self.folder = folder
        self._processes = processes

    def start(self, *options: str, actors: str = "tests.actors.probes", **environment: str) -> Process:
        """A `dramatiq` master with its workers, as soon as they are on record."""
        before = self._count()
        worker = self.launch(*options, actors=actors, **environment)
        processes = int(options[options.index("-p") + 1]) if "-p" in options else 1
        eventually(lambda: self._count() >= before + processes or not worker.running, 30, "a worker on record")
        assert worker.running, worker.output
        return worker

    def launch(self, *options: str, actors: str = "tests.actors.probes", **environment: str) -> Process:
        """The same, without waiting for them."""
        command = (Path(sys.executable).with_name("dramatiq"), "jobplatform.worker")
        number = () if "-p" in options else ("-p", "1")
        return self._processes.start(
            *command,
            *number,
            *options,
            environment={**self.environment(actors), **environment},
            folder=self.folder,
            name="worker",
        )

    def environment(self, actors: str = "tests.actors.probes") -> Mapping[str, str]:
        return {
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis_url,
            "ACTORS": actors,
            "OUTPUT_DIR": str(self.folder / "output"),
            "dramatiq_worker_timeout": "1000",
            **_QUICK,
        }

    def submit(
        self,
        type: str,  # noqa: A002
        payload: Mapping[str, Any] | None = None,
        *,
        queue: str = "default",
        options: Mapping[str, Any] | None = None,
        delay_ms: int | None = None,
        run_at: datetime | None = None,
    ) -> str:
        """The id of a job that is on record and whose hint was sent, if Redis is there."""
        (job_id,) = self.submit_many(1, type, payload, queue=queue, options=options, delay_ms=delay_ms, run_at=run_at)
        return job_id

    def submit_many(
        self,
        count: int,
        type: str,  # noqa: A002
        payload: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> list[str]:
        """So many alike, in one batch."""
        texts = {"payload": json.dumps(dict(payload or {})), "options": json.dumps(dict(options or {}))}
        jobs = [new_job(type=type, **texts, **given) for _ in range(count)]
        with connected(self.url):
            _, hints = journal.commit([Open(jobs)])
        if hints:
            client = patient_client(self.redis_url)
            HintSender(client).send(hints)
            client.close()
        return [job.id for job in jobs]

    def submit_while_redis_is_away(
        self,
        type: str,  # noqa: A002
        *,
        delay_ms: int | None = None,
    ) -> str:
        """As an API process does it: with the quick client, whose failure is none."""
        job = new_job(type=type, payload="{}", delay_ms=delay_ms)
        client = quick_client(self.redis_url)
        writer = Writer(HintSender(client).send)
        with connected(self.url):
            writer.put(Open([job])).result(10)
        writer.close(5)
        client.close()
        return job.id

    def cancel(self, job_id: str) -> None:
        with connected(self.url):
            journal.commit([Cancel(job_id)])

    def until(self, job_id: str, *statuses: str, seconds: float = 20) -> str:
        """Wait until a job is there (default: final), and give its status."""
        wanted = statuses or _FINAL
        eventually(lambda: self.status(job_id) in wanted, seconds, f"{wanted} of {self.history(job_id)}")
        return self.status(job_id)

    def finish(self, *job_ids: str, seconds: float = 30) -> list[str]:
        """Wait until all are final, and give their statuses."""
        unfinished = "SELECT id::text, status FROM jobs WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL LIMIT 5"
        eventually(lambda: not self.read(unfinished, list(job_ids)), seconds, f"the end of {len(job_ids)} jobs")
        found = dict(self.read("SELECT id::text, status FROM jobs WHERE id = ANY(%s::uuid[])", list(job_ids)))
        return [found[job_id] for job_id in job_ids]

    def status(self, job_id: str) -> str:
        return recorded.status(self.url, job_id)

    def history(self, job_id: str) -> list[str]:
        return recorded.history(self.url, job_id)

    def column(self, job_id: str, name: str) -> Any:
        return recorded.column(self.url, job_id, name)

    def read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return recorded.read(self.url, sql, values)

    def jobs(self, type: str) -> list[str]:  # noqa: A002
        """The ids of all jobs of a type, in the order of their acceptance."""
        return [i for (i,) in self.read("SELECT id::text FROM jobs WHERE type = %s ORDER BY created_at, id", type)]

    def _count(self) -> int:
        ((count,),) = self.read("SELECT count(*) FROM workers")
        return int(count)
