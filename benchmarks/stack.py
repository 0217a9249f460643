"""The real stack in a folder of its own, with durable Postgres, that leaves nothing behind."""

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
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
_DRAMATIQ: Final = ("dramatiq", "jobplatform.worker", "--processes", "2", "--threads", "32")
_READY_SECONDS: Final = 60


class Stack:
    """Postgres with its own defaults, Valkey, and the API with two processes. The worker comes and goes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: deque[str] = deque(maxlen=30)
        self.postgres = Postgres(folder / "postgres", free_port(), on_line=self._said.append)
        self.valkey = Valkey(folder / "valkey", free_port(), on_line=self._said.append)
        self.host, self.port = "127.0.0.1", free_port()
        self.api: Child | None = None
        self.worker: Child | None = None

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
        migrate(self.postgres.url("benchmark"))
        self.api = self._program("api", *_GUNICORN)
        self.api.wait_until(self._ready, _READY_SECONDS)

    def start_worker(self, connection: Connection) -> None:
        """Start the worker, and wait until both its processes are on record and a job has been completed, if any waits.

        What a start costs is no part of what a job costs.
        """
        self.worker = self._program("worker", *_DRAMATIQ)
        self.worker.wait_until(lambda: _works(connection), _READY_SECONDS)

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

    def _program(self, name: str, *words: str) -> Child:
        child = Child(
            name,
            (sys.executable, "-m", *words),
            on_line=self._said.append,
            environment=self._environment(),
            folder=self._folder,  # where no .env is
            grace_seconds=20,
        )
        child.start()
        return child

    def _environment(self) -> dict[str, str]:
        variables = {setting.metadata["variable"] for setting in Settings.__dataclass_fields__.values()}
        return {
            **{name: value for name, value in os.environ.items() if name not in variables},
            "DATABASE_URL": self.postgres.url("benchmark"),
            "REDIS_URL": self.valkey.url,
            "PORT": str(self.port),
            "OUTPUT_DIR": str(self._folder / "output"),
            "ACTORS": "benchmarks.actors",
            "WEB_CONCURRENCY": "2",
        }

    def _ready(self) -> bool:
        answer = call("GET", f"{self.url}/ready")
        return answer is not None and answer.status == 200


@contextmanager
def running_stack() -> Iterator[tuple[Stack, Connection]]:
    """A running stack with a connection for looking on. When the block ends, all of it is gone."""
    folder = Path(tempfile.mkdtemp(prefix="jobplatform-benchmark-"))
    folder.chmod(0o711)  # root's Postgres may run as somebody else
    stack = Stack(folder)
    try:
        stack.start()
        with closing(stack.connect()) as connection:
            yield stack, connection
    except ChildFailed as error:
        raise ChildFailed(f"{error}\n{stack.last_words()}") from None
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _works(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM workers WHERE ended_at IS NULL) = 2"
            " AND (EXISTS (SELECT FROM jobs WHERE status = 'completed') OR NOT EXISTS (SELECT FROM jobs))"
        )
        row = cursor.fetchone()
        return row is not None and bool(row[0])
