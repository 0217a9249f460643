"""Long reads in threads of their own."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobplatform import queries
from jobplatform.answer import Answer
from jobplatform.errors import DatabaseUnavailable
from jobplatform.inquiries import Inquiries
from jobplatform.local.postgres import Postgres
from jobplatform.models import database
from tests.services.journal import queued_job, read


@pytest.fixture
def inquiries(journal_url: str) -> Iterator[Inquiries]:  # noqa: ARG001
    inquiries = Inquiries(threads=2, most_waiting=3)
    yield inquiries
    inquiries.close()


def _backend() -> int:
    number: int = database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    return number


def _waiting_for(gate: threading.Event) -> Callable[[], str]:
    def wait() -> str:
        assert gate.wait(10)
        return "done"

    return wait


def test_a_question_is_answered_from_the_database(inquiries: Inquiries) -> None:
    job_id = queued_job()

    assert list(inquiries.ask(queries.jobs, [job_id]).result(10)) == [job_id]


def test_questions_are_worked_on_side_by_side_each_thread_with_its_own_connection(inquiries: Inquiries) -> None:
    both = threading.Barrier(2)

    def meet() -> int:
        both.wait(10)
        return _backend()

    first, second = inquiries.ask(meet), inquiries.ask(meet)

    assert first.result(10) != second.result(10)


def test_a_question_too_many_is_refused_at_once_and_the_others_are_answered(inquiries: Inquiries) -> None:
    gate, busy = threading.Event(), threading.Barrier(3)

    def occupy() -> str:
        busy.wait(10)
        return _waiting_for(gate)()

    asked: list[Answer[str]] = [inquiries.ask(occupy) for _ in range(2)]
    busy.wait(10)
    asked += [inquiries.ask(_waiting_for(gate)) for _ in range(3)]

    refused = inquiries.ask(_waiting_for(gate))

    assert refused.done()
    with pytest.raises(DatabaseUnavailable):
        refused.result()
    gate.set()
    assert [future.result(10) for future in asked] == ["done"] * 5


def test_a_question_is_repeated_on_a_new_connection(journal_url: str, inquiries: Inquiries) -> None:
    before = inquiries.ask(_backend).result(10)
    read(journal_url, "SELECT pg_terminate_backend(%s)", [before])

    assert inquiries.ask(_backend).result(10) != before


def test_without_postgres_it_says_so_and_with_it_answers_again(inquiries: Inquiries, postgres_server: Postgres) -> None:
    postgres_server.stop()
    database.close()
    try:
        with pytest.raises(DatabaseUnavailable):
            inquiries.ask(_backend).result(15)
    finally:
        postgres_server.start()

    assert inquiries.ask(_backend).result(10) > 0


def test_a_question_that_takes_too_long_is_given_up_and_not_repeated(
    inquiries: Inquiries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobplatform.inquiries.PATIENCE", 1)
    asked = []

    def sleep() -> Any:
        asked.append(1)
        return database.execute_sql("SELECT pg_sleep(20)")

    with pytest.raises(DatabaseUnavailable):
        inquiries.ask(sleep).result(10)

    assert len(asked) == 1


def test_what_else_goes_wrong_in_a_question_reaches_its_asker(inquiries: Inquiries) -> None:
    with pytest.raises(ZeroDivisionError):
        inquiries.ask(lambda: 1 / 0).result(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_threads_that_were_lost_are_made_anew(inquiries: Inquiries) -> None:
    def die() -> None:
        raise SystemExit

    for _ in range(4):
        with pytest.raises(SystemExit):
            inquiries.ask(die).result(10)

    assert inquiries.ask(_backend).result(10) > 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_threads_of_its_own(inquiries: Inquiries) -> None:
    assert inquiries.ask(_backend).result(10) > 0

    child = os.fork()
    if child == 0:
        os._exit(0 if inquiries.ask(lambda: "here").result(10) == "here" else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
