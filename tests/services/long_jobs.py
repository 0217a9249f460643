"""A job that runs as long as a test wants, and what is on record of the worker that runs it."""

import threading
import time
from typing import Any

from jobplatform import current_job
from jobplatform.job_actor import JobActor
from tests.services.workshop import Workshop


class Long:
    """An actor that runs until it is told to end; it notes each end with the attempt's number."""

    def __init__(self, workshop: Workshop, **options: Any) -> None:
        self.over = threading.Event()
        self.running = threading.Semaphore(0)
        self.ends: list[tuple[int, str]] = []

        @workshop.actor("LONG", **options)
        def long() -> str:
            attempt = current_job().attempt
            self.running.release()
            try:
                while not self.over.is_set():
                    time.sleep(0.005)
            except BaseException as error:
                self.ends.append((attempt, type(error).__name__))
                raise
            self.ends.append((attempt, "done"))
            return f"attempt {attempt}"

        self.actor: JobActor[[], str] = long

    def wait(self) -> None:
        """Until one more attempt is in the actor's function."""
        assert self.running.acquire(timeout=15), "the actor did not begin"
