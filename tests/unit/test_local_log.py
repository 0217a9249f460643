"""The one log of many processes."""

import io

import pytest

from jobplatform.local.log import Log


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_each_line_says_whose_it_is_in_one_column() -> None:
    stream = io.StringIO()
    log = Log(stream)

    log.of("api")("It listens.")
    log.of("postgres")("It is ready.")

    assert stream.getvalue() == "api      │ It listens.\npostgres │ It is ready.\n"


def test_a_terminal_gets_colour_one_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    log = Log(stream)

    for name in ("api", "worker", "api"):
        log.of(name)("Hello")

    first, second, third = stream.getvalue().splitlines()
    assert first == third == "\x1b[36mapi      │ \x1b[0mHello"
    assert second == "\x1b[33mworker   │ \x1b[0mHello"


def test_a_terminal_whose_user_wants_none_gets_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()

    Log(stream).of("api")("Hello")

    assert stream.getvalue() == "api      │ Hello\n"


def test_a_terminal_that_is_gone_stops_nobody() -> None:
    stream = io.StringIO()
    log = Log(stream)
    stream.close()

    log.of("api")("Hello")

    assert stream.closed
