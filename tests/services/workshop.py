"""A broker and a worker of one test's own, in its process: actors are declared where they are used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import dramatiq

from jobplatform.broker import JobBroker
from jobplatform.job_actor import JobActor
from jobplatform.models import database
from jobplatform.settings import Settings
from tests.services.journal import column, history, read, status
from tests.services.patience import eventually

#: A keeper that looks all the time, errors that are tried again at once, and hints that are soon taken for lost.
QUICK: Final[dict[str, Any]] = {
    "keeper_tick": 20,
    "min_backoff": 1,
    "max_backoff": 5,
    "resend_grace": 300,
    "max_retries": 2,
}


class Workshop:
    """Declare actors, send jobs, then ``open`` it: a worker with its keeper."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.broker = JobBroker(settings)
        self._url = settings.database_url

    def actor(self, type: str, **options: Any) -> Callable[[Callable[..., Any]], JobActor[..., Any]]:  # noqa: A002
        return self.broker.actor(type, **options)

    @contextmanager
    def open(self, *, threads: int = 2, queues: set[str] | None = None) -> Iterator[dramatiq.Worker]:
        """Work until the block ends."""
        worker = dramatiq.Worker(self.broker, worker_threads=threads, worker_timeout=100, queues=queues)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()
            if (keeper := self.broker.recorder.keeper) is not None:
                keeper._thread.join(10)
                assert not keeper._thread.is_alive()

    def close(self) -> None:
        """End the writers, where no worker has ended them."""
        self.broker.recorder.close(10)
        self.broker.client.close()
        database.close()

    def finish(self, *job_ids: str, seconds: float = 20) -> None:
        """Work until these jobs are final."""
        with self.open():
            for job_id in job_ids:
                self.until(job_id, "completed", "failed", "cancelled", seconds=seconds)

    def until(self, job_id: str, *statuses: str, seconds: float = 20) -> str:
        """Wait until a job is there, and give its status."""
        eventually(
            lambda: status(self._url, job_id) in statuses, seconds, f"{' or '.join(statuses)} of {self.history(job_id)}"
        )
        return status(self._url, job_id)

    def history(self, job_id: str) -> list[str]:
        return history(self._url, job_id)

    def status(self, job_id: str) -> str:
        return status(self._url, job_id)

    def column(self, job_id: str, name: str) -> Any:
        return column(self._url, job_id, name)

    def error(self, job_id: str) -> dict[str, Any]:
        found = self.column(job_id, "error")
        assert isinstance(found, dict)
        return found

    def jobs(self, type: str) -> list[str]:  # noqa: A002
        """The ids of all jobs of a type, in the order of their acceptance."""
        return [i for (i,) in read(self._url, "SELECT id::text FROM jobs WHERE type = %s ORDER BY 1", [type])]
