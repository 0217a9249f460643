"""The calling thread's connection to Postgres: opened when needed, given up when it is in doubt."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from peewee import PeeweeException

from jobplatform.errors import DatabaseUnavailable, SchemaMissing
from jobplatform.models import database

#: SQLSTATE classes that speak of a value, and not of the server: data exception, constraint, limit of a statement (P5).
_OF_A_VALUE = frozenset({"22", "23", "54"})
_NO_SUCH_TABLE = "42P01"
_TOOK_TOO_LONG: Final = "57014"

_T = TypeVar("_T")


def open_connection() -> None:
    """Connect the calling thread, unless it is connected.

    Raises:
        peewee.PeeweeException: Postgres is not there, or does not take writes.
    """
    database.connect(reuse_if_open=True)


def give_up_connection() -> None:
    """Close the calling thread's connection, whatever state it is in. The next use opens a sound one."""
    with suppress(PeeweeException):  # it may be lost already
        database.close()


def ask(question: Callable[[], _T]) -> _T:
    """What a read finds, which is repeated on a new connection if the old one turns out to be lost.

    Raises:
        DatabaseUnavailable: Postgres did not answer, or took too long. The connection is given up.
        Exception: what else the question raises; it is not asked again.
    """
    try:
        try:
            return question()
        except PeeweeException as error:
            give_up_connection()
            if sqlstate(error) == _TOOK_TOO_LONG:  # and would again
                raise
        return question()
    except PeeweeException as error:
        give_up_connection()
        raise unavailable(error) from error


def sqlstate(error: BaseException) -> str | None:
    """Postgres' code for an error; None where the error did not come from Postgres."""
    return getattr(getattr(error, "orig", None), "pgcode", None)


def blames_a_value(error: BaseException) -> bool:
    """Whether an error would come again with the same item, however sound the connection is (P5).

    An error that is not the database's was raised before anything was sent, by a value that has no form in SQL.
    """
    if not isinstance(error, PeeweeException):
        return True
    code = sqlstate(error)
    return code is not None and code[:2] in _OF_A_VALUE


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """What to tell an asker who could not be served."""
    if sqlstate(error) == _NO_SUCH_TABLE:
        return SchemaMissing()
    return DatabaseUnavailable(f"Postgres does not answer: {' '.join(str(error).split())}")
