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
#: The SQLSTATE of a statement that was ended by its time-out.
TOOK_TOO_LONG: Final = "57014"

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
            if sqlstate(error) == TOOK_TOO_LONG:  # and would again
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

    An error that is not the database's comes from a value that has no form in SQL, or from a mistake of ours; all but
    a lack of memory, which passes, and which may strike at any time: also when all is written.
    """
    if isinstance(error, MemoryError):
        return False
    if not isinstance(error, PeeweeException):
        return True
    code = sqlstate(error)
    return code is not None and code[:2] in _OF_A_VALUE


def is_mistake(error: BaseException) -> bool:
    """Whether an error is a mistake of ours, which needs its traceback. That of Postgres' own would quote values."""
    return not isinstance(error, PeeweeException | MemoryError)


def line_of(error: BaseException) -> str:
    """What went wrong, in one line that anybody may see.

    Of what Postgres says it is the first sentence only. The others quote the statement, and with it payloads.
    """
    said = getattr(getattr(getattr(error, "orig", None), "diag", None), "message_primary", None)
    return " ".join((said or str(error)).split()) or type(error).__name__


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """What to tell an asker who could not be served."""
    if sqlstate(error) == _NO_SUCH_TABLE:
        return SchemaMissing()
    return DatabaseUnavailable(f"Postgres does not answer: {line_of(error)}")
