"""What a client submits: the body of ``POST /jobs``, read and checked against the actor's signature."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from api.problems import INVALID_JOB, MALFORMED_JSON, MAX_FAULTS_LISTED, TOO_LARGE, Problem
from api.request import Request
from jobplatform.errors import Fault, InvalidPayload
from jobplatform.job_actor import JobActor
from jobplatform.message import JobMessage
from jobplatform.signature import MOST_FAULTS

#: By how much a body may be longer than its payload.
ENVELOPE_BYTES: Final = 65_536
#: The most retries that one job may ask for.
MAX_RETRIES: Final = 1_000
#: How many tags a job may have, and how long each and a unique key may be, in characters.
MAX_TAGS: Final = 20
MAX_TAG: Final = 64
MAX_UNIQUE_KEY: Final = 255

_Priority = Literal["high", "default"] | None
_Moment = Annotated[datetime, Meta(tz=True)] | None
_Retries = Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None
_Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=MAX_TAG)]], Meta(max_length=MAX_TAGS)] | None
_UniqueKey = Annotated[str, Meta(min_length=1, max_length=MAX_UNIQUE_KEY)] | None
_OnConflict = Literal["reject", "return", "replace"] | None

#: What is wrong where each member is right by itself: the decoder looks at every one, and the last one counts.
COMES_TWICE: Final = "holds a name twice, and a value of it that would not do"

#: What reading a faulty submission raises.
UNREADABLE: Final = (
    msgspec.MsgspecError,
    UnicodeError,
    RecursionError,
    KeyError,
    InvalidPayload,
    OverflowError,
    ValueError,
)


class Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of ``POST /jobs``. A field that is null counts as left out."""

    type: str
    payload: msgspec.Raw
    priority: _Priority = None
    run_at: _Moment = None
    max_retries: _Retries = None
    tags: _Tags = None
    unique_key: _UniqueKey = None
    on_conflict: _OnConflict = None


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A job to be: everything in it has been checked."""

    actor: JobActor[..., Any]
    payload: str
    priority: str
    run_at: datetime | None
    options: dict[str, Any] | None
    tags: tuple[str, ...] = ()
    unique_key: str | None = None
    on_conflict: str = "reject"

    def message(self, req: Request) -> JobMessage:
        """The message of the job that a request asks for."""
        return self.actor.message_from_json(
            self.payload,
            priority=self.priority,
            run_at=self.run_at,
            who=req.who,
            request_id=req.request_id,
            tags=self.tags,
            unique_key=self.unique_key,
            on_conflict=self.on_conflict,
            options=self.options,
        )


class Submissions:
    """Reads submissions for the types that this process knows."""

    def __init__(self, types: Mapping[str, JobActor[..., Any]], max_payload_bytes: int) -> None:
        self._types = types
        self._max_payload_bytes = max_payload_bytes
        self._decode = msgspec.json.Decoder(Envelope).decode

    def read(self, body: bytes) -> Submission:
        """Read one submission from a body.

        Raises:
            Problem: the body is not JSON (400), its payload is too long (413), or fields are faulty (422, all named).
        """
        try:
            return self.submission(self._decode(body))
        except UNREADABLE:
            raise self._problem(body) from None

    def submission(self, envelope: Envelope) -> Submission:
        """Check what a decoder leaves to be checked.

        Raises:
            Problem: the payload is too long.
            UNREADABLE: something is wrong; `faults` tells what.
        """
        actor = self._types[envelope.type]
        payload = bytes(envelope.payload)
        if len(payload) > self._max_payload_bytes:
            raise Problem(TOO_LARGE, f"The payload may be {self._max_payload_bytes} bytes long at most.")
        actor.signature.check(payload)
        tags = tuple(dict.fromkeys(envelope.tags)) if envelope.tags else ()
        if (tags and _has_nul(tags)) or (envelope.unique_key and "\0" in envelope.unique_key):
            raise ValueError
        if envelope.on_conflict and not envelope.unique_key:
            raise ValueError
        return Submission(
            actor,
            payload.decode(),
            envelope.priority or "default",
            envelope.run_at and envelope.run_at.astimezone(UTC),
            None if envelope.max_retries is None else {"max_retries": envelope.max_retries},
            tags,
            envelope.unique_key,
            envelope.on_conflict or "reject",
        )

    def faults(self, body: bytes | msgspec.Raw) -> Iterator[Fault]:
        """Everything that is wrong with a submission that is JSON. Slow: only for those that cannot be read."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            yield Fault("", "must be a JSON object")
            return
        faults = self._faults(fields)
        yield next(faults, Fault("", COMES_TWICE))
        yield from faults

    def _problem(self, body: bytes) -> Problem:
        if detail := malformed(body):
            return Problem(MALFORMED_JSON, detail)
        faults = list(islice(self.faults(body), MOST_FAULTS))
        return Problem(INVALID_JOB, f"{how_many(faults)} in the submission.", faults=faults)

    def _faults(self, fields: dict[str, msgspec.Raw]) -> Iterator[Fault]:
        yield from self._faults_of_type(fields)
        if "payload" not in fields:
            yield Fault("/payload", "is required")
        for name, (kind, detail) in _OPTIONAL.items():
            if name in fields and not _fits(fields[name], kind):
                yield Fault(f"/{name}", detail)
        if _is_given(fields, "onConflict") and not _is_given(fields, "uniqueKey"):
            yield Fault("/onConflict", "is of no use without a uniqueKey")
        for name in fields:
            if name not in _FIELDS:
                yield Fault(f"/{escaped(name)}", f"is not a field of a submission, which has {', '.join(_FIELDS)}")

    def _faults_of_type(self, fields: dict[str, msgspec.Raw]) -> Iterator[Fault]:
        if "type" not in fields:
            yield Fault("/type", f"is required: {self._known()}")
        elif not _fits(fields["type"], str):
            yield Fault("/type", "must be a string")
        elif (actor := self._types.get(msgspec.json.decode(fields["type"], type=str))) is None:
            yield Fault("/type", f"is unknown: {self._known()}")
        elif "payload" in fields:
            try:
                actor.signature.check(bytes(fields["payload"]))
            except InvalidPayload as error:
                yield from (Fault("/payload" + fault.pointer, fault.detail) for fault in error.faults)

    def _known(self) -> str:
        return f"the known types are {', '.join(sorted(self._types))}" if self._types else "no types are known here"


_OPTIONAL: Final[dict[str, tuple[Any, str]]] = {
    "priority": (_Priority, "must be high or default"),
    "runAt": (
        _Moment,
        "must be an RFC 3339 time with its zone, such as 2030-01-31T08:00:00Z, within the years 1 to 9999 UTC",
    ),
    "maxRetries": (_Retries, f"must be a whole number from 0 to {MAX_RETRIES}"),
    "tags": (_Tags, f"must be at most {MAX_TAGS} strings of 1 to {MAX_TAG} characters, none of them NUL"),
    "uniqueKey": (_UniqueKey, f"must be a string of 1 to {MAX_UNIQUE_KEY} characters, none of them NUL"),
    "onConflict": (_OnConflict, "must be reject, return or replace"),
}
_FIELDS: Final = ("type", "payload", *_OPTIONAL)


_LONE_SURROGATE: Final = re.compile(rb'\\u[dD][89a-fA-F][0-9a-fA-F]{2}"')


def _fits(value: msgspec.Raw, kind: Any) -> bool:
    try:
        decoded = msgspec.json.decode(value, type=kind)
        if isinstance(decoded, datetime):
            decoded.astimezone(UTC)
    except (msgspec.MsgspecError, OverflowError):
        return False
    return not _has_nul([decoded] if isinstance(decoded, str) else decoded if isinstance(decoded, list) else ())


def _is_given(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) != b"null"


def _has_nul(texts: Iterable[str]) -> bool:
    return any("\0" in text for text in texts)


def how_many(faults: Sequence[Fault]) -> str:
    """The number of these faults, which are `MOST_FAULTS` at most, in words."""
    if len(faults) > MAX_FAULTS_LISTED:
        return f"More than {MAX_FAULTS_LISTED} faults"
    return "One fault" if len(faults) == 1 else f"{len(faults)} faults"


def escaped(name: str) -> str:
    """A name as a part of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def malformed(body: bytes) -> str | None:
    """Why a body is no JSON, or None if it is some."""
    if not body.strip():
        return "The body is empty."
    try:
        msgspec.json.decode(body, type=msgspec.Raw)  # reads all of it, and builds nothing
        body.decode()
    except msgspec.DecodeError as error:
        # msgspec calls a string that ends in half a surrogate pair "truncated".
        hint = ", or a \\u escape is half of a surrogate pair" if _LONE_SURROGATE.search(body) else ""
        return f"{str(error).removesuffix('.')}{hint}."
    except UnicodeError:
        return "The body is not valid UTF-8."
    except RecursionError:
        return "The body is nested too deeply."
    return None
