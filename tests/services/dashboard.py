"""The dashboard as tests of pages see it: a gunicorn, and workers if wanted, on a database of the module's own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import redis
from playwright.sync_api import Page

from jobplatform.api_key import new_key
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.databases import fresh_database
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

ROOT = Path(__file__).parents[2]

#: The names of keys, and what they are for.
SCOPES = {"ada": "submit+read+operate", "grace": "read", "linus": "operate"}


class Dashboard:
    """A running dashboard. With keys, ``keys`` has that of each name."""

    def __init__(
        self,
        url: str,
        database_url: str,
        keys: dict[str, str],
        worker: Process | None,
        start_worker: Callable[[], Process],
    ) -> None:
        self.url = url
        #: Starts one more group of workers.
        self.start_worker = start_worker
        self.keys = keys
        self.worker = worker
        self._database_url = database_url
        authorization = {"Authorization": f"Bearer {keys['ada']}"} if keys else {}
        # A connection that has been idle for two seconds is closed by gunicorn, perhaps as it is used again.
        anew = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=url, timeout=20, headers=authorization, limits=anew)

    def submit(self, type: str, payload: dict[str, Any], **more: Any) -> str:  # noqa: A002
        """Submit a job, and give its id."""
        answer = self.client.post("/jobs", json={"type": type, "payload": payload, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    def wait_for(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """The job, once it is in one of these statuses."""

        def job() -> dict[str, Any]:
            found: dict[str, Any] = self.client.get(f"/jobs/{job_id}").json()
            return found if found["status"] in statuses else {}

        return eventually(job, what=f"{job_id} to be {' or '.join(statuses)}")

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run SQL, and give what it answers."""
        with closing(psycopg2.connect(self._database_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def sign_in(self, page: Page, name: str, behind: str = "/") -> None:
        """Sign in by the page that asks for a key, on the way to another page."""
        page.goto(f"{self.url}{behind}")
        page.get_by_label("Key", exact=True).fill(self.keys[name])
        with page.expect_navigation():  # and its scripts have run: before, no key is heard
            page.get_by_role("button", name="Sign in").click()


@contextmanager
def dashboard(postgres: Postgres, valkey: Valkey) -> Iterator[Callable[..., Dashboard]]:
    """Starts one: ``start(keyed=True, worker=True, ACTORS="tests.actors.probes", …)``. All end with the context."""
    processes = Processes()
    started: list[Dashboard] = []
    with fresh_database(postgres) as database_url:

        def start(*, keyed: bool = False, worker: bool = False, **settings: str) -> Dashboard:
            with redis.Redis.from_url(valkey.url) as client:
                client.flushall()
            keys = {name: new_key(name, scopes) for name, scopes in SCOPES.items()} if keyed else {}
            port = free_port()
            environment = {
                "DATABASE_URL": database_url,
                "REDIS_URL": valkey.url,
                "PORT": str(port),
                "WEB_CONCURRENCY": "1",
                "SHUTDOWN_GRACE": "500",  # no test waits for what another one left running
                "API_KEYS": ",".join(str(entry) for _, entry in keys.values()),
                **settings,
            }
            programs = Path(sys.executable).parent

            def start_worker() -> Process:
                words = ("jobplatform.worker", "-p", "1", "-t", "4")
                return processes.start(programs / "dramatiq", *words, environment=environment, folder=ROOT)

            api = processes.start(programs / "gunicorn", environment=environment, folder=ROOT)
            running = start_worker() if worker else None
            api.wait_for("The API listens at")
            shown = {name: key for name, (key, _) in keys.items()}
            started.append(Dashboard(f"http://127.0.0.1:{port}", database_url, shown, running, start_worker))
            return started[-1]

        try:
            yield start
        finally:
            for one in started:
                one.client.close()
            processes.stop_all()
