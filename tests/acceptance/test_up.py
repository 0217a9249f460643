"""``python -m jobplatform up`` and ``demo``, as ``make run`` and ``make demo`` call them."""

import os
import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import httpx
import psycopg2
import pytest

from jobplatform.local.folder import LocalFolder
from jobplatform.local.ports import free_port, is_free
from jobplatform.local.postgres import Postgres
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

_COMMAND = (sys.executable, "-m", "jobplatform")
_FINAL = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Checkout:
    """A folder of one's own to run the platform in, on ports of its own."""

    folder: Path
    port: int
    mail_port: int
    mail_page_port: int
    processes: Processes

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return self.port, self.mail_port, self.mail_page_port

    def start(self, command: str, **environment: str) -> Process:
        ports = {
            "PORT": str(self.port),
            "MAIL_PORT": str(self.mail_port),
            "MAIL_PAGE_PORT": str(self.mail_page_port),
        }
        return self.processes.start(
            *_COMMAND, command, environment={**ports, **environment}, folder=self.folder, name=command
        )

    def up(self) -> Process:
        """The platform, open for business."""
        process = self.start("up")
        process.wait_for("open for business", seconds=90)
        return process

    def running(self) -> dict[str, Any]:
        return LocalFolder(self.folder / ".local").running()


@pytest.fixture
def checkout(tmp_path: Path, processes: Processes) -> Checkout:
    return Checkout(tmp_path, free_port(), free_port(), free_port(), processes)


def test_up_runs_jobs_and_leaves_nothing_but_its_data(checkout: Checkout) -> None:
    platform = checkout.up()

    csv = _finished(checkout.api, {"type": "CSV_EXPORT", "payload": {"data": [{"id": 1, "name": "Ada"}]}})
    mail = _finished(
        checkout.api,
        {"type": "EMAIL_SEND", "priority": "high", "payload": {"to": "ada@example.org", "subject": "Hi", "body": "Ho"}},
    )
    caught = httpx.get(f"http://127.0.0.1:{checkout.mail_page_port}/messages/").json()["messages"]
    with closing(psycopg2.connect(checkout.running()["database"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT event FROM transitions WHERE job_id = %s ORDER BY id", [csv["id"]])
        events = [event for (event,) in cursor]

    assert csv["status"] == mail["status"] == "completed"
    assert (checkout.folder / csv["result"]["filePath"]).read_bytes() == b"id,name\r\n1,Ada\r\n"
    assert [message["subject"] for message in caught] == ["Hi"]
    assert events == ["enqueued", "started", "completed"]

    assert platform.stop() == 0

    assert platform.lines[-1].endswith("stopped; the data stays in .local/, the caught mails do not")
    assert checkout.processes.left() == []
    assert all(is_free(port) for port in checkout.ports)
    assert checkout.running() == {}
    assert _names(platform) >= {"up", "postgres", "mail", "api"}


def test_what_was_accepted_is_still_there_after_a_restart(checkout: Checkout) -> None:
    first = checkout.up()
    job = _finished(checkout.api, {"type": "CSV_EXPORT", "payload": {"data": []}})
    first.stop()

    checkout.up()

    assert httpx.get(f"{checkout.api}/jobs/{job['id']}").json() == job


def test_a_second_up_in_the_same_folder_is_refused_with_one_line(checkout: Checkout) -> None:
    first = checkout.up()

    second = checkout.start("up")

    assert second.wait() == 1
    assert second.lines == [f"The platform already runs in this checkout: {checkout.api} (process {first.pid})."]


@pytest.mark.parametrize("variable", ["PORT", "MAIL_PORT", "MAIL_PAGE_PORT"])
def test_a_taken_port_is_one_line_that_names_the_variable(checkout: Checkout, variable: str) -> None:
    with closing(socket.create_server(("127.0.0.1", free_port()))) as other:
        port = other.getsockname()[1]
        platform = checkout.start("up", **{variable: str(port)})

        assert platform.wait() == 1

    (line,) = platform.lines
    assert f"Port {port} " in line
    assert line.endswith(f" {variable}.")


def test_a_wrong_setting_is_one_line(checkout: Checkout) -> None:
    platform = checkout.start("up", PORT="many")

    assert platform.wait() == 1
    assert platform.lines == ["PORT is 'many': it must be a whole number from 1 to 65535."]


def test_a_database_that_is_not_there_is_one_line(checkout: Checkout) -> None:
    platform = checkout.start("up", DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere")

    assert platform.wait() == 1
    own = [line for line in platform.lines if " │ " not in line]
    assert len(own) == 1, platform.output
    assert own[0].startswith("Postgres does not answer: ")


def test_a_migration_that_postgres_refuses_is_one_line(checkout: Checkout, postgres_server: Postgres) -> None:
    read_only = f"{postgres_server.url()}?options=-cdefault_transaction_read_only%3Don"

    command = checkout.start("migrate", DATABASE_URL=read_only)

    assert command.wait() == 1
    (line,) = command.lines
    assert line.startswith("The schema cannot be brought up to date: cannot execute CREATE FUNCTION in a read-only")


def test_a_command_without_its_setting_is_one_line(checkout: Checkout) -> None:
    command = checkout.start("migrate")

    assert command.wait() == 1
    assert command.lines == ["DATABASE_URL is not set: which database shall be migrated?"]


def test_killing_the_launcher_leaves_nothing_and_the_next_one_starts(checkout: Checkout) -> None:
    platform = checkout.up()

    platform.kill(SIGKILL)
    checkout.up()

    job = _finished(checkout.api, {"type": "CSV_EXPORT", "payload": {"data": []}})
    assert job["status"] == "completed"


def test_a_worker_that_dies_is_started_again(checkout: Checkout) -> None:
    platform = checkout.up()
    (worker,) = (pid for pid in checkout.processes.left() if _parent(pid) == platform.pid and "dramatiq" in _words(pid))

    os.kill(worker, SIGKILL)
    platform.wait_for("worker ended by itself")

    job = _finished(checkout.api, {"type": "CSV_EXPORT", "payload": {"data": []}})
    assert job["status"] == "completed"


def test_up_that_is_stopped_while_it_starts_leaves_nothing(checkout: Checkout) -> None:
    platform = checkout.start("up")
    platform.wait_for("postgres")

    platform.signal(SIGTERM)

    assert platform.wait() == 0
    assert checkout.processes.left() == []


def test_up_uses_the_servers_that_it_is_given(checkout: Checkout, database_url: str, redis_url: str) -> None:
    platform = checkout.start("up", DATABASE_URL=database_url, REDIS_URL=redis_url, SMTP_URL="smtp://127.0.0.1:9")
    platform.wait_for("open for business", seconds=60)

    job = _finished(checkout.api, {"type": "CSV_EXPORT", "payload": {"data": []}})

    assert job["status"] == "completed"
    assert _names(platform) <= {"up", "api", "worker"}
    assert is_free(checkout.mail_page_port)


def test_demo_starts_a_platform_shows_every_job_and_stops_it_again(checkout: Checkout) -> None:
    demo = checkout.start("demo")

    assert demo.wait(90) == 0

    assert demo.lines[-1] == "5 of 5 jobs completed."
    assert any("5 EMAIL_SEND" in line and "scheduled → queued" in line for line in demo.lines)
    assert checkout.processes.left() == []


def test_demo_uses_the_platform_that_runs(checkout: Checkout) -> None:
    checkout.up()

    demo = checkout.start("demo")

    assert demo.wait(60) == 0
    assert demo.lines[0] == f"The platform at {checkout.api} gets the seed jobs."
    assert httpx.get(f"{checkout.api}/health").json() == {"status": "ok"}


def test_demo_notices_that_something_else_listens_on_the_port(checkout: Checkout) -> None:
    other = checkout.processes.start(
        *(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(checkout.port)), folder=checkout.folder
    )
    other.wait_for("Serving HTTP")

    demo = checkout.start("demo")

    assert demo.wait() == 1
    (line,) = demo.lines
    assert line.startswith(f"Something that is not the job platform listens at {checkout.api}")


def _names(platform: Process) -> set[str]:
    """Whose lines its log holds."""
    return {line.split()[0] for line in platform.lines if " │ " in line}


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _finished(api: str, request: dict[str, Any]) -> dict[str, Any]:
    """Submit a job and give it back when it is final."""
    answer = httpx.post(f"{api}/jobs", json=request)
    assert answer.status_code == 201, answer.text
    url = f"{api}{answer.headers['location']}"

    def final() -> dict[str, Any] | None:
        job: dict[str, Any] = httpx.get(url).json()
        return job if job["status"] in _FINAL else None

    return eventually(final, seconds=30, what="the end of the job") or {}
