"""What a job says of itself, and what it leaves: all of it bounded, whatever it says."""

import hashlib
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jobplatform import context, current_job
from jobplatform.context import LONGEST_LINE, MOST_LINES
from jobplatform.outcome import MESSAGE_LIMIT, TRACEBACK_LIMIT
from jobplatform.settings import Settings
from tests.services.journal import read
from tests.services.patience import eventually
from tests.services.workshop import Workshop


def logged(workshop: Workshop, job_id: str) -> list[str]:
    lines = read(workshop.settings.database_url, "SELECT text FROM job_logs WHERE job_id = %s ORDER BY id", [job_id])
    return [text for (text,) in lines]


def test_progress_is_kept_the_latest_at_the_end(workshop: Workshop) -> None:
    @workshop.actor("STEPS")
    def steps() -> None:
        for done in range(1, 1_001):
            current_job().progress(done, 1_000)

    began = time.monotonic()
    workshop.finish(job_id := steps.send().message_id)

    assert workshop.column(job_id, "progress") == {"done": 1_000, "total": 1_000}
    assert time.monotonic() - began < 15, "it is cheap to say"


def test_the_latest_progress_is_seen_while_a_job_still_runs(workshop: Workshop) -> None:
    over = threading.Event()

    @workshop.actor("STEPS")
    def steps() -> None:
        current_job().progress(1, 3)
        current_job().progress(2, 3)  # within the pause between two writes
        assert over.wait(15)

    job_id = steps.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        eventually(lambda: workshop.column(job_id, "progress") == {"done": 2, "total": 3})
        over.set()
        workshop.until(job_id, "completed")


def test_lines_are_kept_in_their_order_with_their_attempt(workshop: Workshop) -> None:
    @workshop.actor("TALKING", max_retries=1)
    def talking() -> None:
        current_job().log("one")
        current_job().log("two")
        if current_job().attempt == 1:
            raise ValueError

    workshop.finish(job_id := talking.send().message_id)

    assert read(workshop.settings.database_url, "SELECT attempt, text FROM job_logs ORDER BY id") == [
        (1, "one"), (1, "two"), (2, "one"), (2, "two"),
    ]  # fmt: skip
    assert logged(workshop, job_id) == ["one", "two"] * 2


def test_logs_are_bounded_in_length_and_number_and_clean(workshop: Workshop) -> None:
    @workshop.actor("CHATTY")
    def chatty(lines: int) -> None:
        current_job().log("x" * 1_000_000)
        current_job().log("NUL \0 and a lone \ud800 surrogate")
        for n in range(2, lines):
            current_job().log(f"line {n}")

    just, more = (chatty.send(lines=lines).message_id for lines in (MOST_LINES, 2 * MOST_LINES))
    workshop.finish(just, more)

    lines = logged(workshop, just)
    assert lines[0] == "x" * LONGEST_LINE
    assert lines[1] == "NUL ␀ and a lone ? surrogate"
    assert (len(lines), lines[-1]) == (MOST_LINES, f"line {MOST_LINES - 1}")
    assert logged(workshop, more) == [*lines, "(This attempt logs more than is kept.)"]


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even a message")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("x" * 1_000_000), "x" * MESSAGE_LIMIT),
        (ValueError("NUL \0, surrogate \ud800"), "NUL ␀, surrogate ?"),
        (Hostile(), "(its message cannot be read: RuntimeError)"),
    ],
    ids=["a million characters", "NUL and surrogate", "no message"],
)
def test_every_error_can_be_kept(workshop: Workshop, error: Exception, message: str) -> None:
    logging.disable()  # pytest-xdist cannot pass on a log with a lone surrogate

    @workshop.actor("BROKEN", max_retries=0)
    def broken() -> None:
        raise error

    workshop.finish(job_id := broken.send().message_id)

    logging.disable(logging.NOTSET)
    kept = workshop.error(job_id)
    assert (kept["kind"], kept["message"]) == ("error", message)
    assert len(kept["traceback"]) <= TRACEBACK_LIMIT
    assert workshop.history(job_id) == ["enqueued", "started", "failed"]


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "result",
    [object(), "\ud800", {1: object()}, _nested(100_000), 10**5_000],
    ids=["object", "surrogate", "mapping", "depth", "number"],
)
def test_a_result_that_cannot_be_kept_fails_the_job_as_unstorable(workshop: Workshop, result: Any) -> None:
    @workshop.actor("ODD")
    def odd() -> Any:
        return result

    workshop.finish(job_id := odd.send().message_id)

    assert workshop.status(job_id) == "failed"
    assert workshop.error(job_id)["kind"] == "unstorable"


@pytest.mark.parametrize(
    "result",
    [{"b": 1, "a": [None, True, 1.5]}, "NUL \0", "é𝄞", 0, "", [], {"big": "x" * 5_000_000}],
    ids=["mapping", "NUL", "text", "zero", "empty text", "empty list", "five megabytes"],
)
def test_a_result_is_kept_as_it_was(workshop: Workshop, result: Any) -> None:
    @workshop.actor("ODD")
    def odd() -> Any:
        return result

    workshop.finish(job_id := odd.send().message_id)

    assert workshop.column(job_id, "result") == result


def test_p27_a_file_appears_whole_and_from_the_second_attempt_on_under_the_attempts_name(workshop: Workshop) -> None:
    @workshop.actor("WRITING", max_retries=1)
    def writing() -> dict[str, Any]:
        with current_job().open_output(".csv") as output:
            output.write(f"attempt {current_job().attempt}".encode())
        if current_job().attempt == 1:
            raise ValueError
        return {"filePath": output.path, "bytes": output.bytes, "sha256": output.sha256}

    folder = workshop.settings.output_dir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "settings", lambda: workshop.settings)
        workshop.finish(job_id := writing.send().message_id)

    assert {path.name for path in Path(folder).iterdir()} == {f"{job_id}.csv", f"{job_id}.2.csv"}
    assert workshop.column(job_id, "result") == {
        "filePath": f"{folder}/{job_id}.2.csv",
        "bytes": 9,
        "sha256": hashlib.sha256(b"attempt 2").hexdigest(),
    }


def test_outside_a_job_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "settings", lambda: Settings(output_dir=str(tmp_path)))
    job = current_job()

    job.progress(1, 2)
    job.log("to nobody")
    with job.open_output(".txt") as output:
        output.write(b"kept")

    assert (job.id, job.attempt) == ("", 0)
    assert Path(output.path).read_bytes() == b"kept"
    assert Path(output.path).parent == tmp_path
