"""Files that are fetched: their names, and what becomes of one that is cut."""

import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobplatform.client import Job, Unavailable
from jobplatform.download import new_file, own_name
from jobplatform.errors import PlatformError

JOB_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def job_with(result: Any) -> Job:
    times = dict.fromkeys(("createdAt", "updatedAt"), "2030-01-31T08:00:00Z")
    nothing = dict.fromkeys(("payload", "error", "progress", "startedAt", "finishedAt", "runAt"))
    named = {"id": JOB_ID, "type": "T", "status": "completed", "priority": "default", "attempts": 1}
    return msgspec.convert({**named, **nothing, **times, "result": result}, Job)


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ({"filePath": "./output/a.csv"}, "a.csv"),
        ({"filePath": "./output/a.csv", "fileName": "Report 1.csv"}, "Report 1.csv"),
        ({"filePath": "./output/a.csv", "fileName": "../../x"}, "x"),
        ({"filePath": "./output/a.csv", "fileName": "..\\x"}, "x"),
        ({"filePath": "./output/a.csv", "fileName": ".profile"}, "a.csv"),
        ({"filePath": "./output/a.csv", "fileName": "a\x1b[2J"}, "a.csv"),
        ({"filePath": "..", "fileName": "/"}, JOB_ID),
        ({"filePath": 7}, JOB_ID),
        ({"filePath": "./output/a.csv", "fileName": "é" * 200}, "a.csv"),
        (None, JOB_ID),
    ],
)
def test_a_file_is_named_as_the_job_says_where_that_leads_nowhere_else(result: Any, name: str) -> None:
    assert own_name(job_with(result)) == name


def cut(path: Path, *, overwrite: bool) -> None:
    with new_file(path, overwrite=overwrite) as file:
        file.write(b"half")
        raise Unavailable(0, {})


def test_of_a_file_that_is_cut_nothing_is_left_and_what_was_there_stays(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("old")

    for path in (there, new):
        with pytest.raises(Unavailable):
            cut(path, overwrite=True)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("there", "old")]


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"

    with pytest.raises(PlatformError, match="is there already"), new_file(path, overwrite=False):
        path.write_text("another's")

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "another's")]


def test_a_part_that_another_left_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_text("half")

    with (
        pytest.raises(PlatformError, match=r"file\.part is there already"),
        new_file(tmp_path / "file", overwrite=True),
    ):
        pass

    assert (tmp_path / "file.part").read_text() == "half"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with pytest.raises(PlatformError, match="is no file"), new_file(fifo, overwrite=overwrite):
        pass

    assert fifo.is_fifo()


def test_where_files_cannot_be_linked_they_are_renamed_and_still_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Path) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr("jobplatform.download.os.link", refuse)
    path = tmp_path / "file"

    with new_file(path, overwrite=False) as file:
        file.write(b"whole")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "whole")]
    path.unlink()
    with pytest.raises(PlatformError, match="is there already"), new_file(path, overwrite=False):
        path.write_text("another's")

    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "another's")]


def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be written"), new_file(tmp_path / ("é" * 200), overwrite=False):
        pass
