"""The bodies of calls that act: small, often left out, read with words about what is wrong with which field."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from api.parameters import refuse_unknown
from api.problems import INVALID_BODY, MALFORMED_JSON, Problem
from api.request import Request
from api.submission import COMES_TWICE, escaped, how_many, malformed
from jobplatform.errors import Fault
from jobplatform.signature import MOST_FAULTS

#: The longest reason, in characters.
MAX_REASON: Final = 1_000

Reason = Annotated[str, Meta(max_length=MAX_REASON)] | None


class ReasonBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a call that may say why. A field that is null counts as left out."""

    reason: Reason = None


_B = TypeVar("_B", bound=ReasonBody)


async def read_body(req: Request, kind: type[_B], limit: int, *, required: bool = False) -> _B:
    """The body of a request, of at most ``limit`` bytes. Where it may be left out, an empty one has no fields.

    Raises:
        Problem: it is no JSON (400, 415), is too long (413), or has faulty fields (422, all named); or the request has
            a query (400).
    """
    if req.query_string:
        refuse_unknown(req.params)
    body = b"" if not required and _has_none(req) else await req.json_body(limit)
    return read(body or b"{}", kind) if not required else read(body, kind)


def read(body: bytes, kind: type[_B]) -> _B:
    """Read a body that has arrived. Raises as `read_body` does."""
    try:
        read = msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        if detail := malformed(body):
            raise Problem(MALFORMED_JSON, detail) from None
        faults = list(islice(_faults(msgspec.Raw(body), kind, ""), MOST_FAULTS))
        raise invalid(*(faults or [Fault("", COMES_TWICE)])) from None
    if read.reason is not None and "\0" in read.reason:
        raise invalid(Fault("/reason", "holds a NUL character, which Postgres cannot store"))
    return read


def invalid(*faults: Fault) -> Problem:
    """The problem of a body with these faults."""
    return Problem(INVALID_BODY, f"{how_many(faults)} in the body.", faults=faults)


def _has_none(req: Request) -> bool:
    """Whether the headers say that no body comes."""
    return not req.content_length and req.get_header("Transfer-Encoding") is None


def _faults(value: msgspec.Raw, kind: Any, place: str) -> Iterator[Fault]:
    try:
        fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        yield Fault(place, "must be a JSON object")
        return
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, of_field in fields.items():
        here = f"{place}/{escaped(name)}"
        if name not in known:
            yield Fault(here, f"is not a field of this, which has {', '.join(known)}")
        elif isinstance(known[name].type, type) and issubclass(known[name].type, msgspec.Struct):
            yield from _faults(of_field, known[name].type, here)
        else:
            yield from _fault(of_field, known[name].type, here)
    yield from (
        Fault(f"{place}/{name}", "is required") for name in known if known[name].required and name not in fields
    )


def _fault(value: msgspec.Raw, kind: Any, place: str) -> Iterator[Fault]:
    try:
        msgspec.json.decode(value, type=kind)
    except msgspec.ValidationError as error:
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        yield Fault(place, f"must be {' or '.join(choices)}" if choices else str(error))
