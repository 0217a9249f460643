"""Sweeping the output folder: what no result names, and nothing else (P27)."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from jobplatform import queries
from jobplatform.outputs import UNFINISHED
from jobplatform.states import Event
from jobplatform.sweep import BATCH_SIZE, GRACE, sweep
from tests.services.journal import claimed_job, queued_job, settle


def old_file(folder: Path, name: str) -> Path:
    """A file that has lain still for longer than the grace."""
    file = folder / name
    file.write_text("made")
    os.utime(file, (0, 0))
    return file


def swept(folder: Path) -> list[Path]:
    """What a whole sweep removes."""
    return [path for batch in sweep(str(folder)) for path in batch]


def completed_job(folder: Path) -> tuple[str, Path]:
    """A job whose result names its file, and the file."""
    claim = claimed_job()
    settle(claim, result=f'{{"filePath": "out/{claim.job_id}.2.csv"}}')
    return claim.job_id, old_file(folder, f"{claim.job_id}.2.csv")


@pytest.mark.usefixtures("journal_url")
def test_the_files_of_earlier_attempts_and_of_ghosts_are_swept(tmp_path: Path) -> None:
    job_id, named = completed_job(tmp_path)
    unnamed = [old_file(tmp_path, f"{job_id}{suffix}") for suffix in (".csv", ".3.csv", f".4.csv{UNFINISHED}")]

    assert set(swept(tmp_path)) == set(unnamed)

    assert list(tmp_path.iterdir()) == [named]


@pytest.mark.usefixtures("journal_url")
def test_a_failed_jobs_files_are_swept(tmp_path: Path) -> None:
    settle(claim := claimed_job(), Event.FAILED)
    file = old_file(tmp_path, f"{claim.job_id}.csv")

    assert swept(tmp_path) == [file]


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

    assert swept(tmp_path) == []

    assert len(list(tmp_path.iterdir())) == 9
    assert GRACE >= 600


@pytest.mark.usefixtures("journal_url")
def test_a_folder_that_is_not_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    assert swept(tmp_path / "none") == []


@pytest.mark.usefixtures("journal_url")
def test_what_another_keeper_sweeps_at_the_same_time_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [claimed_job() for _ in range(3)]
    for claim in jobs:
        settle(claim, Event.FAILED)
    files = [old_file(tmp_path, f"{claim.job_id}.csv") for claim in jobs]
    monkeypatch.setattr("jobplatform.sweep.BATCH_SIZE", 2)
    results, unlink = queries.results, Path.unlink
    swept_elsewhere = []

    def lost_after_a_look(ids: list[str]) -> object:
        swept_elsewhere.append(tmp_path / f"{ids[0]}.csv")
        unlink(swept_elsewhere[-1])
        return results(ids)

    monkeypatch.setattr(queries, "results", lost_after_a_look)

    assert {*swept(tmp_path), *swept_elsewhere} == set(files)

    assert len(swept_elsewhere) == 2, "one of each batch"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("journal_url")
def test_however_many_files_there_are_a_step_of_a_sweep_is_short(tmp_path: Path) -> None:
    claim = claimed_job()
    settle(claim, Event.FAILED)
    for n in range(BATCH_SIZE):
        (tmp_path / f"{n}.txt").touch()
    for n in range(BATCH_SIZE):
        old_file(tmp_path, f"{claim.job_id}.{n}.csv")

    steps = [len(batch) for batch in sweep(str(tmp_path))]

    assert len(steps) == 2
    assert sum(steps) == BATCH_SIZE
    assert len(list(tmp_path.iterdir())) == BATCH_SIZE


@pytest.mark.usefixtures("journal_url")
def test_what_another_keeper_has_swept_since_the_folder_was_listed_is_no_trouble(tmp_path: Path) -> None:
    settle(claim := claimed_job(), Event.FAILED)
    files = [old_file(tmp_path, f"{claim.job_id}.{n}.csv") for n in range(2 * BATCH_SIZE)]
    sweeping = sweep(str(tmp_path))

    removed = next(sweeping)
    for file in set(files) - set(removed):
        file.unlink()

    assert [path for batch in sweeping for path in batch] == []


def test_a_folder_that_cannot_be_read_is_an_error_at_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    sweeping = sweep(str(tmp_path))

    with pytest.raises(PermissionError):
        next(sweeping)
    assert list(sweeping) == [], "and ends the sweep"
