"""Where the server programs are looked for, on a machine that the wheels do not serve."""

from pathlib import Path

import pytest

from jobplatform.local import binaries
from jobplatform.local.binaries import BinaryMissing, postgres_bin, valkey_server


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A search path of one empty folder, and no wheels."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_wheel", lambda _: None)
    monkeypatch.setattr(binaries, "_VERSIONS", tmp_path / "versions")
    return tmp_path


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_wheels_come_first() -> None:
    assert (postgres_bin() / "initdb").is_file()
    assert valkey_server().is_file()


def test_without_a_wheel_postgres_is_taken_from_the_search_path(path: Path) -> None:
    _program(path / "postgres")
    _program(path / "initdb")

    assert postgres_bin() == path


def test_without_a_search_path_the_newest_of_debians_postgres_is_taken(path: Path) -> None:
    for version in ("9", "15", "17"):
        _program(path / "versions" / version / "bin" / "postgres")

    assert postgres_bin() == path / "versions" / "17" / "bin"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_a_wheel_valkey_or_redis_is_taken_from_the_search_path(path: Path, name: str) -> None:
    program = _program(path / name)

    assert valkey_server() == program


@pytest.mark.usefixtures("path")
def test_where_there_is_nothing_one_line_says_what_to_do() -> None:
    with pytest.raises(BinaryMissing, match=r"^No Postgres: [^\n]* set DATABASE_URL\.$"):
        postgres_bin()
    with pytest.raises(BinaryMissing, match=r"^No Redis: [^\n]* set REDIS_URL\.$"):
        valkey_server()
