"""The folder .local/, its locks, and the ports it remembers."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobplatform.local.folder import AlreadyRunning, FolderUnusable, LocalFolder
from jobplatform.local.ports import PortTaken, claim, free_port, is_free, is_open


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path / ".local")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", free_port()))) as server:
        yield server.getsockname()[1]


def test_a_held_folder_is_refused_with_one_line_that_says_where_the_platform_is(folder: LocalFolder) -> None:
    folder.hold(print)
    folder.announce({"api": "http://127.0.0.1:3000"})

    with pytest.raises(AlreadyRunning, match=rf"^[^\n]*http://127.0.0.1:3000 \(process {os.getpid()}\)\.$"):
        LocalFolder(folder.path).hold(print)

    folder.release()


def test_a_released_folder_can_be_held_again_and_says_that_nothing_runs(folder: LocalFolder) -> None:
    folder.hold(print)
    folder.announce({"api": "http://127.0.0.1:3000"})
    folder.release()

    folder.hold(print)

    assert folder.running() == {}
    folder.release()


def test_what_is_announced_can_be_read_by_its_owner_alone(folder: LocalFolder) -> None:
    folder.hold(print)

    folder.announce({"database": "postgresql://postgres:secret@127.0.0.1/jobplatform"})

    assert (folder.path / "running.json").stat().st_mode & 0o077 == 0
    folder.release()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderUnusable, match=r"^[^\n]*file/\.local cannot be used: Not a directory[^\n]*$"):
        LocalFolder(tmp_path / "file" / ".local").hold(print)


def test_a_server_keeps_its_port_as_long_as_it_is_free(folder: LocalFolder) -> None:
    folder.path.mkdir()
    first = folder.port("postgres")

    assert folder.port("postgres") == first

    with closing(socket.create_server(("127.0.0.1", first))):
        assert folder.port("postgres") != first


def test_a_taken_port_is_one_line_that_names_the_port_and_the_variable(taken_port: int) -> None:
    assert is_open(taken_port)
    assert not is_free(taken_port)
    with pytest.raises(PortTaken, match=rf"^Port {taken_port} on 127\.0\.0\.1, for the API, is taken [^\n]* PORT\.$"):
        claim(taken_port, "127.0.0.1", "the API", "PORT")


def test_an_address_of_another_machine_is_one_line_that_names_the_host() -> None:
    with pytest.raises(PortTaken, match=r"^192\.0\.2\.1 is no address of this machine \(HOST\)[^\n]*$"):
        claim(free_port(), "192.0.2.1", "the API", "PORT")
