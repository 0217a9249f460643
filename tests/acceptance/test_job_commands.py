"""The command line, against a real API with a real worker."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobplatform.client import Client
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.states import Status
from tests.services.running_platform import running_platform

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def in_a_minute() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


class Shell:
    """The command line, as a person types it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *words: str, stdin: str = "", code: int = 0, folder: Path | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "jobplatform", "jobs", words[0], "--url", self.url, *words[1:]],
            input=stdin, capture_output=True, text=True, timeout=60, cwd=folder,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout if code in (0, 3) else done.stderr


@pytest.fixture(scope="module")
def shell(postgres_server: Postgres, redis_server: Valkey) -> Iterator[Shell]:
    with running_platform(postgres_server, redis_server) as (_, api):
        yield Shell(api.url)


@pytest.fixture
def client(shell: Shell) -> Iterator[Client]:
    with Client(shell.url) as client:
        yield client


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_shell_submits_watches_and_shows(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"value": 5}')

    watched = shell("submit", "ECHO", f"@{tmp_path}/payload.json", "--tag", "shell", "--watch").splitlines()
    job_id = shell("submit", "ECHO", "-", stdin='{"value": 6}').strip()
    shell("watch", job_id)

    assert [line.split()[1] for line in watched[:3]] == ["enqueued", "started", "completed"]
    assert watched[3].split()[1] == "completed"
    assert "started" in shell("show", job_id)
    (shown,) = objects(shell("show", job_id, "--json"))
    assert (shown["result"], shown["events"][0]["event"]) == (6, "enqueued")


def test_the_shell_lists(shell: Shell, client: Client) -> None:
    job = client.submit("ECHO", {}, tags=["shell list"])

    head, row = shell("list", "--tag", "shell list").splitlines()
    assert head.split()[:3] == ["id", "type", "status"]
    assert row.split()[:2] == [job.id, "ECHO"]
    assert [found["id"] for found in objects(shell("list", "--tag", "shell list", "--json"))] == [job.id]


def test_the_shell_cancels_retries_and_explains(shell: Shell, client: Client) -> None:
    job = client.submit("ECHO", {"value": 1}, run_at=in_a_minute())

    assert "scheduled" in shell("explain", job.id)
    assert shell("cancel", job.id, "--reason", "no").strip() == f"{job.id} is cancelled."
    assert "nothing to cancel" in shell("cancel", job.id, code=1)
    shell("retry", job.id, "--payload", '{"value": 2}')
    assert client.wait(job.id, 20).result == 2


def test_the_shell_tells_by_its_exit_code_that_a_job_failed(shell: Shell) -> None:
    assert "failed" in shell("submit", "THROWING", "{}", "--watch", code=3)


def test_the_shell_says_in_words_what_is_wrong(shell: Shell) -> None:
    assert "is no JSON" in shell("submit", "ECHO", "{", code=1)
    assert "/payload/seconds" in shell("submit", "NAP", '{"seconds": "x"}', code=1)
    assert NOBODY in shell("show", NOBODY, code=1)
    assert shell("show", "counts", code=1) == "A job's id is a UUID, and 'counts' is none.\n"
    assert "positive" in shell("list", "--limit", "0", code=2)
    assert shell("list", "--url", "foo", code=1) == "'foo' is no URL of an API, such as http://127.0.0.1:3000.\n"


def test_what_others_wrote_does_not_steer_the_terminal(shell: Shell, client: Client) -> None:
    evil, spelled = "\x1b[2J\x9b\x7f\r\n\u202e!", r"\x1b[2J\x9b\x7f\r\n\u202e!"
    job = client.submit("ECHO", {"value": evil}, unique_key=evil, tags=["evil"], run_at=in_a_minute())
    client.cancel(job.id, evil)

    for said in (shell("show", job.id), shell("watch", job.id, code=3), shell("explain", job.id)):
        assert spelled in said
        assert all(one.isprintable() for one in said.replace("\n", ""))


def test_the_shell_prints_what_a_job_logged(shell: Shell, client: Client) -> None:
    job = client.submit("TALKING", {"lines": ["one", "two\x1b[2J"]})
    client.wait(job.id, 20)

    head, *rows = shell("logs", job.id).splitlines()
    assert head.split() == ["at", "attempt", "text"]
    assert [row.split()[2:] for row in rows] == [["1", "one"], ["1", r"two\x1b[2J"]]
    assert [line["text"] for line in objects(shell("logs", job.id, "--json"))] == ["one", "two\x1b[2J"]
    assert len(shell("logs", job.id, "--attempt", "2").splitlines()) == 1


def test_the_shell_fetches_a_file_and_writes_over_none_unasked(shell: Shell, client: Client, tmp_path: Path) -> None:
    job = client.submit("WRITING", {})
    client.wait(job.id, 20)
    made = tmp_path / f"{job.id}.txt"

    assert shell("output", job.id, "--to", "-", folder=tmp_path) == "attempt 1"
    assert shell("output", job.id, folder=tmp_path) == f"{made.name}: 9 bytes\n"
    assert made.read_text() == "attempt 1"
    made.write_text("mine")
    assert "is there already" in shell("output", job.id, folder=tmp_path, code=1)
    assert made.read_text() == "mine"
    (said,) = objects(shell("output", job.id, "--to", str(made), "--overwrite", "--json"))
    assert (said, made.read_text()) == ({"file": str(made), "bytes": 9}, "attempt 1")
    assert [file.name for file in tmp_path.iterdir()] == [made.name]


def test_the_shell_leaves_nothing_of_a_file_that_it_cannot_have(shell: Shell, client: Client, tmp_path: Path) -> None:
    without = client.wait(client.submit("ECHO", {}).id, 20)

    shell("output", without.id, folder=tmp_path, code=1)
    shell("output", without.id, "--to", "file", folder=tmp_path, code=1)

    assert list(tmp_path.iterdir()) == []


def test_the_shell_counts(shell: Shell, client: Client) -> None:
    client.wait(client.submit("ECHO", {}).id, 20)

    counts = client.counts()
    head, *rows = (line.split() for line in shell("counts").splitlines())

    assert head == ["type", *Status, "all"]
    of_echo = dict(zip(head, next(row for row in rows if row[0] == "ECHO"), strict=True))
    assert of_echo["completed"] == str(counts["byType"]["ECHO"]["completed"])
    assert rows[-1] == ["all", *(str(counts["byStatus"][status]) for status in Status), str(counts["total"])]


def test_the_shell_ends_quietly_when_nobody_reads_on(shell: Shell, client: Client) -> None:
    client.submit("ECHO", {})
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does when it has its lines

    done = subprocess.run(
        [sys.executable, "-m", "jobplatform", "jobs", "list", "--url", shell.url],
        stdout=writing, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")
