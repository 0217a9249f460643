"""`docker compose up --build` works as it comes: each service's own command, with its own environment, run here."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from jobplatform.local.postgres import Postgres
from tests.services.compose import read_compose
from tests.services.compose_stack import ComposeStack, compose_database
from tests.services.image import Image
from tests.services.processes import Processes

ROOT = Path(__file__).parents[2]
#: One small worker is enough here.
SERVICES = read_compose(ROOT / "docker-compose.yml", {"WORKER_PROCESSES": "1", "WORKER_THREADS": "2"})
#: Files that the wheel must bring beside its modules.
SHIPPED = ("/docs", "/docs/swagger-ui-bundle.js", "/problems/unauthorized")
ENTRYPOINT = ROOT / "deploy" / "entrypoint.sh"


@pytest.fixture
def stack(postgres_server: Postgres, server_folder: Path, processes: Processes) -> Iterator[ComposeStack]:
    """All services but ours, running; ours ready to be started."""
    folder = _open_folder(server_folder)
    with compose_database(SERVICES["db"], postgres_server, ROOT):
        yield ComposeStack(SERVICES, Image(ROOT, folder / "build"), postgres_server, processes, folder)
        processes.stop_all()


def test_jobs_posted_to_the_api_complete_in_the_worker_and_sigterm_ends_both(stack: ComposeStack) -> None:
    assert stack.healthy() == ["db", "redis", "mailhog"]

    api, worker = stack.start("api"), stack.start("worker")
    stack.await_health(*SERVICES)
    assert {path: stack.status_of(path) for path in SHIPPED} == dict.fromkeys(SHIPPED, 200)
    rows = stack.post({"type": "CSV_EXPORT", "priority": "high", "payload": {"data": [{"name": "Ada"}]}})
    mail = stack.post({"type": "EMAIL_SEND", "payload": {"to": "ada@example.com", "subject": "Hi", "body": "Hello"}})
    written, sent = stack.end_of(rows), stack.end_of(mail)

    assert (written["status"], written["error"]) == ("completed", None)
    assert (stack.output / f"{rows}.csv").read_text().splitlines() == ["name", "Ada"]
    assert (sent["status"], sent["error"]) == ("completed", None)
    assert stack.mail_subjects() == ["Hi"]

    assert {"api": api.stop(), "worker": worker.stop()} == {"api": 0, "worker": 0}
    assert stack.healthy() == ["db", "redis", "mailhog"]


def test_the_image_serves_everyone_without_keys_only_where_compose_permits_it(stack: ComposeStack) -> None:
    for_everyone = SERVICES["api"].environment["HOST"]

    permitted = stack.run("api", "gunicorn", "--check-config", HOST=for_everyone)
    refused = stack.run("api", "gunicorn", "--check-config", HOST=for_everyone, ALLOW_ANONYMOUS="")

    assert permitted.returncode == 0, permitted.stderr
    assert refused.returncode == 1
    assert "ALLOW_ANONYMOUS" in refused.stderr


def test_the_entrypoint_becomes_the_owner_of_the_output_folder(server_folder: Path) -> None:
    output = _open_folder(server_folder)
    owner = 12_345 if os.getuid() == 0 else os.getuid()
    os.chown(output, owner, os.getgid())

    assert _who_writes_into(output) == f"{owner} {os.getgid()}"
    assert (output / "made").stat().st_uid == owner


def test_the_entrypoint_never_leaves_root_in_charge(server_folder: Path) -> None:
    output = _open_folder(server_folder)
    user = 1000 if os.getuid() == 0 else os.getuid()
    group = 1000 if os.getuid() == 0 else os.getgid()

    assert _who_writes_into(output) == f"{user} {group}"
    assert (output / "made").stat().st_uid == user


def _open_folder(parent: Path) -> Path:
    """A folder that other users can enter."""
    folder = Path(mkdtemp(dir=parent))
    folder.chmod(0o755)
    return folder


def _who_writes_into(output: Path) -> str:
    script = 'touch "$OUTPUT_DIR/made" && echo "$(id -u) $(id -g)"'
    environment = {**os.environ, "OUTPUT_DIR": str(output)}
    answer = subprocess.run(
        [ENTRYPOINT, "sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()
