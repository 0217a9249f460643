"""A real stack in a folder of its own, with durable Postgres, that leaves nothing behind."""

import os
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg2
import redis
from psycopg2.extensions import connection as Connection  # noqa: N812

import jobplatform
from jobplatform.local.calls import call
from jobplatform.local.children import Child, ChildFailed
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.migrate import migrate
from jobplatform.settings import Settings

_GUNICORN: Final = ("gunicorn", "--config", str(Path(jobplatform.__file__).parents[2] / "gunicorn.conf.py"))
_DRAMATIQ: Final = ("dramatiq", "jobplatform.worker", "--threads", "64", "--processes")
_READY_SECONDS: Final = 60
GRACE_SECONDS: Final = 20

#: So many jobs warm up each part of a stack: Node's compiler needs that many.
WARM_UP: Final = 2_000
_IS_WARM: Final = """
    SELECT (SELECT count(*) FROM (SELECT FROM jobs WHERE status = 'completed' LIMIT %(jobs)s) AS done) = %(jobs)s
        OR NOT EXISTS (SELECT FROM jobs WHERE status = 'queued')
"""


class Stack(ABC):
    """Postgres with its own defaults, Valkey, and an API with two processes. The worker comes and goes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: deque[str] = deque(maxlen=30)
        self.postgres = Postgres(folder / "postgres", free_port(), on_line=self._said.append)
        self.valkey = Valkey(folder / "valkey", free_port(), on_line=self._said.append)
        self.host, self.port = "127.0.0.1", free_port()
        self.api: Child | None = None
        self.worker: Child | None = None
        #: So many jobs are its warm-up.
        self.warm_up = WARM_UP

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self) -> Connection:
        """A connection for looking on."""
        connection = psycopg2.connect(self.postgres.url("benchmark"))
        connection.autocommit = True
        return connection

    def redis(self) -> "redis.Redis":
        """A client for looking on."""
        return redis.Redis.from_url(self.valkey.url)

    def start(self) -> None:
        """Start all but the worker."""
        self.postgres.start()
        self.postgres.create_database("benchmark")
        self.valkey.start()
        self._make_tables()
        self.api = self._api()
        if self.api is not None:
            self.api.start()
            self.api.wait_until(self._ready, _READY_SECONDS)

    def start_worker(self, connection: Connection) -> None:
        """Start the worker, and wait until all its processes are ready and have done the first jobs that wait.

        What a start costs is no part of what a job costs, nor what a program learns of itself as it runs (Node does).
        """
        self.worker = worker = self._worker()
        worker.start()
        worker.wait_until(lambda: self._worker_is_ready(connection) and self._is_warm(connection), _READY_SECONDS)

    def stop_worker(self) -> None:
        """Stop it, with all jobs done."""
        if self.worker is not None:
            self.worker.stop()
            self.worker = None

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for child in (self.worker, self.api, self.valkey, self.postgres):
            if child is not None:
                child.stop()

    def last_words(self) -> str:
        """What the processes said last."""
        return "\n".join(self._said)

    @abstractmethod
    def _make_tables(self) -> None:
        """Make the tables in the new database."""

    @abstractmethod
    def _api(self) -> Child | None:
        """The API, not started yet. None: there is none."""

    @abstractmethod
    def _worker(self) -> Child:
        """The worker, not started yet."""

    @abstractmethod
    def _worker_is_ready(self, connection: Connection) -> bool:
        """Whether the worker's processes are."""

    def _is_warm(self, connection: Connection) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_IS_WARM, {"jobs": self.warm_up})
            row = cursor.fetchone()
            return row is not None and bool(row[0])

    def _ready(self) -> bool:
        answer = call("GET", f"{self.url}/ready")
        return answer is not None and answer.status == 200


class PlatformStack(Stack):
    """The platform itself, with so many worker processes, and the actors of a module."""

    def __init__(self, folder: Path, processes: int = 2, actors: str = "benchmarks.actors") -> None:
        super().__init__(folder)
        self._processes = processes
        self._actors = actors

    def stop_api(self) -> None:
        """Stop the API."""
        if self.api is not None:
            self.api.stop()
            self.api = None

    def start_api_unawaited(self) -> None:
        """Start the API, without waiting for it."""
        self.api = self._api()
        self.api.start()

    def start_worker_unawaited(self) -> None:
        """Start the worker, without waiting for it."""
        self.worker = self._worker()
        self.worker.start()

    def _make_tables(self) -> None:
        migrate(self.postgres.url("benchmark"))

    def _api(self) -> Child:
        return self._module("api", *_GUNICORN)

    def _worker(self) -> Child:
        return self._module("worker", *_DRAMATIQ, str(self._processes))

    def _worker_is_ready(self, connection: Connection) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) = %s FROM workers WHERE ended_at IS NULL", (self._processes,))
            row = cursor.fetchone()
            return row is not None and bool(row[0])

    def _module(self, name: str, *words: str) -> Child:
        variables = {setting.metadata["variable"] for setting in Settings.__dataclass_fields__.values()}
        environment = {
            **{name: value for name, value in os.environ.items() if name not in variables},
            "DATABASE_URL": self.postgres.url("benchmark"),
            "REDIS_URL": self.valkey.url,
            "PORT": str(self.port),
            "OUTPUT_DIR": str(self._folder / "output"),
            "ACTORS": self._actors,
            "WEB_CONCURRENCY": "2",
        }
        return Child(
            name,
            (sys.executable, "-m", *words),
            on_line=self._said.append,
            environment=environment,
            folder=self._folder,  # where no .env is
            grace_seconds=GRACE_SECONDS,
        )


@contextmanager
def running_stack(of: Callable[[Path], Stack] = PlatformStack) -> Iterator[tuple[Stack, Connection]]:
    """A running stack with a connection for looking on. When the block ends, all of it is gone."""
    folder = Path(tempfile.mkdtemp(prefix="jobplatform-benchmark-"))
    folder.chmod(0o711)  # root's Postgres may run as somebody else
    stack = of(folder)
    try:
        stack.start()
        with closing(stack.connect()) as connection:
            yield stack, connection
    except ChildFailed as error:
        raise ChildFailed(f"{error}\n{stack.last_words()}") from None
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
