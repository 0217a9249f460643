"""The stack under torture: real servers, and API masters, worker groups and keepers, each behind links of its own."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from jobplatform.local.calls import call
from jobplatform.local.children import Child
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.migrate import migrate
from jobplatform.torture.crash_points import points_folder
from jobplatform.torture.crew import Crew
from jobplatform.torture.effects import FOLDER_VARIABLE
from jobplatform.torture.links import Link, Links

T = TypeVar("T")

_READY_SECONDS: Final = 60.0
_TICK: Final = 0.05
#: The server's defaults for everything that concerns durability.
_POSTGRES_OPTIONS: Final = {"max_connections": "300", "log_checkpoints": "off", "log_line_prefix": "%m [%p] "}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How many of each, and the settings that all of them run under."""

    api_masters: int = 2
    api_workers: int = 2
    worker_groups: int = 3
    worker_processes: int = 2
    worker_threads: int = 8
    keepers: int = 2
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Group:
    """One master process with its children, and its links to the servers."""

    kind: str
    child: Child
    postgres: Link
    redis: Link
    port: int = 0
    _known: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def links(self) -> tuple[Link, Link]:
        return self.postgres, self.redis

    def children(self) -> list[int]:
        """The pids of its master's children that do its work."""
        if not self.child.running:
            return []
        try:
            text = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        except OSError:
            return []
        children = [int(pid) for pid in text.split() if not _is_tracker(int(pid))]
        self._known.update(children)
        return children

    def processes(self) -> list[int]:
        """Its children that live, and those that outlive a master before them."""
        self.children()
        return [pid for pid in self._known if lives(pid)]


@dataclass(frozen=True)
class Servers:
    """The servers that a stack stands on, and its database."""

    postgres: Postgres
    valkey: Valkey
    database_url: str


@dataclass(frozen=True)
class Programs:
    """What is under torture: the platform, or what it is compared with."""

    api: Callable[[int, int], Sequence[str]]
    worker: Callable[[Shape], Sequence[str]]
    keeper: Sequence[str] | None
    migrate: Callable[[str], object]
    ready: str
    actors: str


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _gunicorn(port: int, workers: int) -> Sequence[str]:  # noqa: ARG001 - both come by the environment
    return ("gunicorn", "--config", str(Path(__file__).parents[3] / "gunicorn.conf.py"))


def _dramatiq(shape: Shape) -> Sequence[str]:
    processes, threads = str(shape.worker_processes), str(shape.worker_threads)
    return ("dramatiq", "jobplatform.worker", "--processes", processes, "--threads", threads)


PLATFORM: Final = Programs(
    api=_gunicorn,
    worker=_dramatiq,
    keeper=("jobplatform", "keeper"),
    migrate=migrate,
    ready="/ready",
    actors="jobplatform.torture.actors",
)


class Stack:
    """Everything that runs during one run. Start and `tick` it from the main thread."""

    def __init__(
        self,
        folder: Path,
        shape: Shape,
        programs: Programs,
        say: Callable[[str], None],
        servers: Servers | None = None,
    ) -> None:
        """Describe it. Without servers it brings its own; given ones run already, and go on."""
        self.folder = folder
        self.groups: list[Group] = []
        self.crew = Crew(say)
        self._shape = shape
        self._programs = programs
        self._links = Links()
        for name in ("logs", "output"):
            (folder / name).mkdir()
        points_folder(folder).mkdir()
        self._own = servers is None
        self._servers = servers or self._servers_of_its_own()
        self.postgres = self._servers.postgres
        self.valkey = self._servers.valkey

    @property
    def database_url(self) -> str:
        """Postgres, directly."""
        return self._servers.database_url

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def start(self) -> None:
        """Start all, and wait until the API answers.

        Raises:
            ChildFailed: something does not start.
        """
        if self._own:
            self.crew.start(self.postgres)
            self.postgres.create_database("jobplatform")
            self._programs.migrate(self.database_url)
            self.crew.start(self.valkey)
        shape = self._shape
        for number in range(1, shape.api_masters + 1):
            port = free_port()
            self._add("api", number, self._programs.api(port, shape.api_workers), port, grace=13.0)
        for number in range(1, shape.worker_groups + 1):
            self._add("worker", number, self._programs.worker(shape), grace=12.0)
        if self._programs.keeper is not None:
            for number in range(1, shape.keepers + 1):
                self._add("keeper", number, self._programs.keeper, grace=5.0)
        for group in self.of("api"):
            group.child.wait_until(lambda port=group.port: self._answers(port), _READY_SECONDS)  # type: ignore[misc]

    def of(self, *kinds: str) -> list[Group]:
        """The groups of these kinds."""
        return [group for group in self.groups if group.kind in kinds]

    def until(self, condition: Callable[[], T], seconds: float) -> T:
        """Keep all running until the condition gives something true, or the time is over: what it gave last."""
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline:
            self.crew.tick()
            time.sleep(_TICK)
        return value

    def wipe_redis(self) -> None:
        """Remove what Redis keeps on disk, while it is down."""
        shutil.rmtree(self.folder / "valkey" / "appendonlydir", ignore_errors=True)

    def stop(self) -> None:
        """Stop all; nothing is left but files."""
        self.crew.stop()
        self._links.close()

    def _servers_of_its_own(self) -> Servers:
        home = self.folder / "postgres"
        postgres = Postgres(home, free_port(), on_line=self._log("postgres"), options=_POSTGRES_OPTIONS)
        valkey = Valkey(self.folder / "valkey", free_port(), on_line=self._log("valkey"))
        return Servers(postgres, valkey, postgres.url("jobplatform"))

    def _add(self, kind: str, number: int, words: Sequence[str], port: int = 0, *, grace: float) -> None:
        name = f"{kind}-{number}"
        postgres = self._links.add(f"{name} to postgres", _port_of(self.database_url))
        redis = self._links.add(f"{name} to redis", _port_of(self.valkey.url))
        environment = {
            **{variable: value for variable, value in os.environ.items() if variable != "WEB_CONCURRENCY"},
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": _through(postgres, self.database_url),
            "REDIS_URL": _through(redis, self.valkey.url),
            "PORT": str(port or 1),
            "WEB_CONCURRENCY": str(self._shape.api_workers),
            "OUTPUT_DIR": str(self.output),
            "ACTORS": self._programs.actors,
            FOLDER_VARIABLE: str(self.folder),
            **dict(self._shape.settings),
        }
        child = Child(
            name,
            (sys.executable, "-m", *words),
            on_line=self._log(name),
            environment=environment,
            folder=self.folder,
            grace_seconds=grace,
        )
        self.crew.start(child)
        self.groups.append(Group(kind, child, postgres, redis, port))

    def _log(self, name: str) -> Callable[[str], None]:
        path = self.folder / "logs" / f"{name}.log"

        def write(line: str) -> None:
            with path.open("a") as file:
                print(line, file=file)

        return write

    def _answers(self, port: int) -> bool:
        answer = call("GET", f"http://127.0.0.1:{port}{self._programs.ready}")
        return answer is not None and answer.status == 200


def _port_of(url: str) -> int:
    return urlsplit(url).port or 0


def _through(link: Link, url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{link.port}")))


def _is_tracker(pid: int) -> bool:
    """Whether it is a helper of Python's multiprocessing, which does none of the work."""
    try:
        return b"tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
