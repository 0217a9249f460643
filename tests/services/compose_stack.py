"""The services of docker-compose.yml on this machine: ours as the image holds them, and real ones for the others."""

import os
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg2
from psycopg2 import sql

from jobplatform.local.binaries import postgres_bin, valkey_server
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.unprivileged import unprivileged
from tests.services.compose import Service
from tests.services.image import Container, Image
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

#: Where the services find each other and themselves.
_ADDRESSES = {"db:5432", "redis:6379", "mailhog:1025", "3000", "8025"}
_NOBODY = 65_534


class ComposeStack:
    """Postgres, Redis and the mail catcher run once it is made; ``start`` starts a service of ours."""

    def __init__(
        self, services: Mapping[str, Service], image: Image, server: Postgres, processes: Processes, folder: Path
    ):
        self.output = folder / "output"
        self._services = services
        self._processes = processes
        self._folder = folder
        self._tools = folder / "tools"
        database_port = urlsplit(server.url()).port or 5432
        self._ports = {address: free_port() for address in _ADDRESSES} | {"db:5432": database_port}
        self._containers: dict[str, Container] = {}
        self._started: dict[str, Process] = {}
        self._prepare()
        self._start_others()
        self._containers.update((name, self._container(name, image)) for name in ("api", "worker"))

    def start(self, name: str) -> Process:
        """Start a service of ours: its command, or the image's."""
        container = self._containers[name]
        command = self._services[name].command or container.image.final.words("CMD")
        self._started[name] = self._processes.start(
            *container.words(command), environment=container.variables(), folder=container.folder, name=name
        )
        return self._started[name]

    def run(self, name: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the place of a service of ours."""
        container = self._containers[name]
        environment = self._processes.environment(container.variables() | variables)
        return _run(container.words(command), environment, container.folder)

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        check = self._services[name].health_check
        if container := self._containers.get(name):
            return self.run(name, *(check or container.image.final.health_check())).returncode == 0
        return self._run_tool(*(self._here(word) for word in check or [])).returncode == 0

    def await_health(self, *names: str) -> None:
        """Wait until the services are healthy.

        Raises:
            AssertionError: one was not in time; with all that ours have said.
        """
        try:
            for name in names:
                eventually(partial(self.is_healthy, name), what=f"the health of {name}")
        except AssertionError as error:
            said = [f"--- {name}\n{process.output}" for name, process in self._started.items()]
            raise AssertionError("\n".join([str(error), *said])) from None

    def healthy(self) -> list[str]:
        """The services that are healthy now."""
        return [name for name in self._services if self.is_healthy(name)]

    def post(self, job: Mapping[str, Any]) -> str:
        """Submit a job and give its id."""
        answer = httpx.post(f"{self._api}/jobs", json=job)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    def status_of(self, path: str) -> int:
        """The status code of a GET of this path."""
        return httpx.get(f"{self._api}{path}").status_code

    def end_of(self, job_id: str) -> dict[str, Any]:
        """Wait until the job is final, and give it."""

        def job_if_final() -> dict[str, Any]:
            job: dict[str, Any] = httpx.get(f"{self._api}/jobs/{job_id}").json()
            return job if job["finishedAt"] else {}

        return eventually(job_if_final, what=f"the end of job {job_id}")

    def mail_subjects(self) -> list[str]:
        """What the mail catcher has caught."""
        messages = httpx.get(f"http://127.0.0.1:{self._ports['8025']}/messages/").json()["messages"]
        return [message["subject"] for message in messages]

    @property
    def _api(self) -> str:
        return f"http://127.0.0.1:{self._ports['3000']}"

    def _prepare(self) -> None:
        self._tools.mkdir()
        for tool in ("server", "cli"):
            program = valkey_server().with_name(valkey_server().name.replace("server", tool))
            (self._tools / f"valkey-{tool}").symlink_to(program)
        self.output.mkdir()
        if os.getuid() == 0 and not unprivileged(self._folder).prefix:
            os.chown(self.output, _NOBODY, _NOBODY)  # whom the entrypoint then becomes

    def _start_others(self) -> None:
        words = self._services["redis"].command or []
        port = str(self._ports["redis:6379"])
        place = ("--port", port, "--bind", "127.0.0.1", "--dir", str(self._folder))
        self._processes.start(self._tools / words[0], *words[1:], *place, name="redis")
        mail = ("--smtp-ip", "127.0.0.1", "--smtp-port", str(self._ports["mailhog:1025"]))
        page = ("--http-ip", "127.0.0.1", "--http-port", str(self._ports["8025"]))
        self._processes.start(f"{sysconfig.get_path('scripts')}/maildump", "-f", "-n", *mail, *page, name="mailhog")
        self.await_health("redis", "mailhog")

    def _container(self, name: str, image: Image) -> Container:
        # Only loopback is listened on; a plain user, as in the image, is whom the entrypoint has nothing to do for.
        here = {"0.0.0.0": "127.0.0.1", "3000": str(self._ports["3000"])}  # noqa: S104
        near = {address: f"127.0.0.1:{self._ports[address]}" for address in _ADDRESSES if ":" in address}
        prefix = unprivileged(self._folder).prefix
        service = self._services[name]
        container = Container(image, self._folder / name, service.environment, near | here, prefix)
        container.prepare({target: self._folder / source for target, source in service.mounts.items()})
        return container

    def _here(self, word: str) -> str:
        for address, port in self._ports.items():
            word = word.replace(address.rpartition(":")[2], str(port))
        return word

    def _run_tool(self, *command: str) -> subprocess.CompletedProcess[str]:
        path = f"{self._tools}:{postgres_bin()}:{os.environ['PATH']}"
        return _run(command, self._processes.environment({"PATH": path}), self._folder)


@contextmanager
def compose_database(service: Service, server: Postgres, checkout: Path) -> Iterator[None]:
    """What the Postgres image makes at its first start: the user, the database, and what init.sql says."""
    user, password, name = (service.environment[f"POSTGRES_{what}"] for what in ("USER", "PASSWORD", "DB"))
    role, database = sql.Identifier(user), sql.Identifier(name)
    as_superuser = server.url()
    try:
        _execute(
            as_superuser, sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(role, sql.Literal(password))
        )
        _execute(as_superuser, sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        for target, source in service.mounts.items():
            if target.startswith("/docker-entrypoint-initdb.d/"):
                words = ("-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-d", server.url(name), "-f", str(checkout / source))
                subprocess.run((postgres_bin() / "psql", *words), check=True, capture_output=True)
        yield
    finally:
        _execute(as_superuser, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        _execute(as_superuser, sql.SQL("DROP ROLE IF EXISTS {}").format(role))


def _execute(url: str, statement: sql.Composed) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _run(command: Any, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
