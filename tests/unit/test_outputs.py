"""Files: whole or not at all, named so that no ghost can replace the winner's (P27)."""

import hashlib
from pathlib import Path

import pytest

from jobplatform.outputs import UNFINISHED, file_name, open_made, open_output
from jobplatform.sweep import _NAME, _is_named


@pytest.mark.parametrize(
    ("attempt", "suffix", "name"),
    [
        (0, ".csv", "id.csv"),
        (1, ".csv", "id.csv"),
        (2, ".csv", "id.2.csv"),
        (3, ".tar.gz", "id.3.tar.gz"),
        (1, "", "id"),
    ],
)
def test_a_files_name_tells_its_job_and_from_the_second_on_its_attempt(attempt: int, suffix: str, name: str) -> None:
    assert file_name("id", attempt, suffix) == name


@pytest.mark.parametrize("suffix", ["csv", "/x", "./x", ".c/sv", "..", ".", ". csv", ".c\0", "../../etc"])
def test_a_suffix_cannot_lead_elsewhere(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        file_name("id", 1, suffix)


@pytest.mark.parametrize("suffix", [".part", ".csv.part", ".csv.", ".a..b", ".é", ".²"])
def test_what_could_not_be_read_or_kept_cannot_be_written(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        file_name("id", 1, suffix)


@pytest.mark.parametrize("suffix", ["", ".csv", ".tar.gz", ".part.csv"])
def test_what_can_be_written_can_be_read_and_is_kept(suffix: str, tmp_path: Path) -> None:
    job_id = "0190163d-8694-739b-aea5-966c26f8ad91"
    with open_output(str(tmp_path), file_name(job_id, 2, suffix)) as output:
        output.write(b"made")

    made = open_made(str(tmp_path), job_id, output.path)
    assert made is not None
    made.close()
    assert _NAME.fullmatch(made.name)
    assert _is_named(made.name, f'{{"filePath": "{output.path}"}}')


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "new" / "folder"), "id.csv") as output:
        output.write(b"one,")
        output.write(b"two")
        assert not Path(output.path).exists()

    assert Path(output.path).read_bytes() == b"one,two"
    assert (output.bytes, output.sha256) == (7, hashlib.sha256(b"one,two").hexdigest())
    assert [path.name for path in Path(output.path).parent.iterdir()] == ["id.csv"]


def test_a_file_does_not_appear_where_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        _write_half(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_as_it_is_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "id.csv").write_bytes(b"old")

    with pytest.raises(RuntimeError):
        _write_half(tmp_path)
    assert (tmp_path / "id.csv").read_bytes() == b"old"

    with open_output(str(tmp_path), "id.csv") as output:
        output.write(b"new")
        assert (tmp_path / "id.csv").read_bytes() == b"old"
    assert (tmp_path / "id.csv").read_bytes() == b"new"


def _write_half(folder: Path) -> None:
    with open_output(str(folder), "id.csv") as output:
        output.write(b"half")
        raise RuntimeError


@pytest.mark.parametrize(("folder", "path"), [("out", "out/id"), ("out/", "out/id"), ("./out", "./out/id")])
def test_the_path_begins_with_the_folder_as_it_was_set(
    folder: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with open_output(folder, "id") as output:
        pass

    assert output.path == path


def test_what_is_unfinished_lies_beside_its_place(tmp_path: Path) -> None:
    with open_output(str(tmp_path), "id.csv"):
        assert [path.name for path in tmp_path.iterdir()] == ["id.csv" + UNFINISHED]
