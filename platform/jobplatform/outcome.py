"""How an attempt ended, as the JSON texts that the journal stores. Every text made here fits the database."""

import traceback
from typing import Any, Final, Literal

import msgspec

#: ``error``: the actor raised. ``time_limit``: it took too long. ``expired``: it was too old to start (``max_age``).
#: ``skipped``: a middleware refused to run it. ``invalid_payload``: the payload no longer fits the actor.
#: ``unstorable``: what it returned cannot be stored. ``crashed``: its worker died, too often.
Kind = Literal["error", "time_limit", "expired", "skipped", "invalid_payload", "unstorable", "crashed"]

#: Characters kept of an error's message, and of its traceback (the end, which names the place).
MESSAGE_LIMIT: Final = 10_000
TRACEBACK_LIMIT: Final = 20_000


class Unstorable(Exception):
    """A result that JSON or Postgres cannot hold."""


def result_text(value: Any) -> str | None:
    """The JSON text of what an actor returned; None for None.

    Raises:
        Unstorable: with the reason.
    """
    if value is None:
        return None
    try:
        return msgspec.json.encode(value).decode()
    except Exception as error:  # an object of the actor's own may raise anything
        raise Unstorable(f"{type(error).__name__}: {error}") from None


def failure(kind: Kind, message: str, *, type: str | None = None, trace: str | None = None) -> str:  # noqa: A002
    """The JSON text of an error: ``{kind, type, message, traceback}``."""
    return msgspec.json.encode(
        {
            "kind": kind,
            "type": type,
            "message": _clean(message)[:MESSAGE_LIMIT],
            "traceback": _clean(trace)[-TRACEBACK_LIMIT:] if trace else None,
        }
    ).decode()


def failure_of(error: BaseException, kind: Kind = "error") -> str:
    """The JSON text of an exception that an actor raised."""
    try:
        message = str(error)
    except Exception as broken:  # an exception's own __str__ may raise, and must not cost its record
        message = f"(its message cannot be read: {type(broken).__name__})"
    try:
        trace = "".join(traceback.format_exception(error))
    except Exception:  # nor must what else it carries, such as notes
        trace = None
    return failure(kind, message, type=type(error).__qualname__, trace=trace)


def _clean(text: str) -> str:
    """Without the characters that Postgres refuses: NUL and lone surrogates."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
