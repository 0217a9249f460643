"""A small platform: what a test may ask it, and do to its processes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobplatform.local.calls import Answer, call
from jobplatform.torture.effects import EFFECT, EffectFile
from jobplatform.torture.sessions import query
from jobplatform.torture.stack import PLATFORM, Servers, Shape, Stack


class PlatformUnderTest:
    """Started in a folder of its own, on servers that others use too."""

    def __init__(self, folder: Path, servers: Servers, groups: int, settings: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        shape = Shape(
            api_masters=1,
            api_workers=1,
            worker_groups=groups,
            worker_processes=1,
            worker_threads=8,
            keepers=1,
            settings=tuple(settings.items()),
        )
        self.stack = Stack(folder, shape, PLATFORM, self.lines.append, servers)
        self._groups = groups
        self._url = servers.database_url

    def start(self) -> None:
        """Start all, and wait until the workers are on record."""
        self.stack.start()
        self.until(lambda: len(self.workers()) == self._groups, 30, "the workers are on record")

    def stop(self) -> None:
        self.stack.stop()

    def post(self, type: str, seconds: float = 0.0, priority: str = "default") -> tuple[Answer | None, float]:  # noqa: A002
        """Submit a job: the answer, and how long it took."""
        (api,) = self.stack.of("api")
        began = time.monotonic()
        body = {"type": type, "payload": {"number": 0, "seconds": seconds}, "priority": priority}
        return call("POST", f"http://127.0.0.1:{api.port}/jobs", body), time.monotonic() - began

    def submit(self, type: str, seconds: float = 0.0, priority: str = "default") -> str:  # noqa: A002
        """Submit a job that is accepted. Its id."""
        answer, _ = self.post(type, seconds, priority)
        assert answer is not None
        assert answer.status == 201, answer
        return str(answer.content["jobId"])

    def workers(self) -> dict[int, int]:
        """The live workers' ids, each with its process."""
        return dict(query(self._url, "SELECT id, pid FROM workers WHERE ended_at IS NULL"))

    def row(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        ((row,),) = query(self._url, "SELECT row_to_json(jobs) FROM jobs WHERE id = %s", [job_id])
        return dict(row)

    def count(self, status: str) -> int:
        """How many jobs have this status."""
        ((number,),) = query(self._url, "SELECT count(*) FROM jobs WHERE status = %s", [status])
        return int(number)

    def events(self, job_id: str) -> list[str]:
        """The job's events, in order."""
        rows = query(self._url, "SELECT event FROM transitions WHERE job_id = %s ORDER BY id", [job_id])
        return [event for (event,) in rows]

    def times(self, job_id: str, event: str) -> list[float]:
        """When such events happened, in seconds since 1970."""
        rows = query(
            self._url,
            "SELECT extract(epoch FROM at)::float8 FROM transitions WHERE job_id = %s AND event = %s ORDER BY id",
            [job_id, event],
        )
        return [at for (at,) in rows]

    def effects(self, job_id: str) -> list[int]:
        """The attempts that had the job's effect."""
        lines = EffectFile(self.stack.folder).lines()
        return [line.attempt for line in lines if line.job_id == job_id and line.what == EFFECT]

    def running_in(self, job_id: str, attempt: int = 1) -> int:
        """Wait until an attempt runs. Its process."""

        def pid() -> int:
            row = self.row(job_id)
            if row["status"] != "running" or row["attempts"] != attempt:
                return 0
            ((number,),) = query(self._url, "SELECT pid FROM workers WHERE id = %s", [row["worker"]])
            return int(number)

        return int(self.until(pid, 20, f"attempt {attempt} of {job_id} runs"))

    def wait_for(self, status: str, *job_ids: str, seconds: float = 30) -> None:
        """Wait until all of these jobs have this status."""

        def all_there() -> bool:
            rows = query(
                self._url,
                "SELECT count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND status = %s",
                [list(job_ids), status],
            )
            return bool(rows[0][0] == len(job_ids))

        self.until(all_there, seconds, f"{len(job_ids)} jobs are {status}")

    def until(self, condition: Any, seconds: float, what: str) -> Any:
        """Wait for a condition while all is kept running. What it gave.

        Raises:
            AssertionError: it did not come true; with what the processes said.
        """
        value = self.stack.until(condition, seconds)
        assert value, f"Not within {seconds:g} s: {what}\n{self._said()}"
        return value

    def settle_postgres(self) -> None:
        """Wait until Postgres has been up for so long that keepers believe what they see."""
        self.until(
            lambda: query(self._url, "SELECT clock_timestamp() > pg_postmaster_start_time() + interval '16 s'")[0][0],
            20,
            "Postgres is up for 16 s",
        )

    def _said(self) -> str:
        logs = sorted((self.stack.folder / "logs").iterdir())
        return "\n".join([*self.lines, *(f"{log.name}:\n{log.read_text()[-3000:]}" for log in logs)])
