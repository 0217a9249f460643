"""Sweeping the output folder: what no result names, and nothing else (P27)."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from jobplatform.outputs import UNFINISHED
from jobplatform.states import Event
from jobplatform.sweep import GRACE, sweep
from tests.services.journal import claimed_job, queued_job, settle


def old_file(folder: Path, name: str) -> Path:
    """A file that has lain still for longer than the grace."""
    file = folder / name
    file.write_text("made")
    os.utime(file, (0, 0))
    return file


def completed_job(folder: Path) -> tuple[str, Path]:
    """A job whose result names its file, and the file."""
    claim = claimed_job()
    settle(claim, result=f'{{"filePath": "out/{claim.job_id}.2.csv"}}')
    return claim.job_id, old_file(folder, f"{claim.job_id}.2.csv")


@pytest.mark.usefixtures("journal_url")
def test_the_files_of_earlier_attempts_and_of_ghosts_are_swept(tmp_path: Path) -> None:
    job_id, named = completed_job(tmp_path)
    unnamed = [old_file(tmp_path, f"{job_id}{suffix}") for suffix in (".csv", ".3.csv", f".4.csv{UNFINISHED}")]

    assert set(sweep(str(tmp_path))) == set(unnamed)

    assert list(tmp_path.iterdir()) == [named]


@pytest.mark.usefixtures("journal_url")
def test_a_failed_jobs_files_are_swept(tmp_path: Path) -> None:
    settle(claim := claimed_job(), Event.FAILED)
    file = old_file(tmp_path, f"{claim.job_id}.csv")

    assert sweep(str(tmp_path)) == [file]


@pytest.mark.usefixtures("journal_url")
def test_what_a_job_may_still_need_is_left_alone(tmp_path: Path) -> None:
    """Of a job that runs or waits, of no job on record, of another name, fresh, or no file at all."""
    settle(failed := claimed_job(), Event.FAILED)
    for job_id in (claimed_job().job_id, queued_job(), str(uuid4())):
        old_file(tmp_path, f"{job_id}.csv")
    for name in ("notes.txt", f"copy of {failed.job_id}.csv", f"{failed.job_id}-old.csv", ".gitkeep"):
        old_file(tmp_path, name)
    (tmp_path / f"{failed.job_id}.csv").write_text("fresh")
    (tmp_path / f"{failed.job_id}.folder").mkdir()
    os.utime(tmp_path / f"{failed.job_id}.folder", (0, 0))

    assert sweep(str(tmp_path)) == []

    assert len(list(tmp_path.iterdir())) == 9
    assert GRACE >= 600


@pytest.mark.usefixtures("journal_url")
def test_a_folder_that_is_not_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(str(tmp_path / "none")) == []


@pytest.mark.usefixtures("journal_url")
def test_what_another_keeper_sweeps_at_the_same_time_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [claimed_job() for _ in range(3)]
    for claim in jobs:
        settle(claim, Event.FAILED)
    files = [old_file(tmp_path, f"{claim.job_id}.csv") for claim in jobs]
    monkeypatch.setattr("jobplatform.sweep.BATCH_SIZE", 2)
    is_file, unlink = Path.is_file, Path.unlink

    def lost_after_a_look(path: Path) -> bool:
        found = is_file(path)
        if path == files[0]:
            unlink(path)
        return found

    def lost_before_its_end(path: Path) -> None:
        if path == files[1]:
            unlink(path)
        unlink(path)

    monkeypatch.setattr(Path, "is_file", lost_after_a_look)
    monkeypatch.setattr(Path, "unlink", lost_before_its_end)

    assert sweep(str(tmp_path)) == [files[2]]

    assert list(tmp_path.iterdir()) == []
