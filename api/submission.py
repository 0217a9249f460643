"""What a client submits: the body of ``POST /jobs``, read and checked against the actor's signature."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from api.problems import INVALID_JOB, MALFORMED_JSON, MAX_FAULTS_LISTED, TOO_LARGE, Problem
from jobplatform.errors import Fault, InvalidPayload
from jobplatform.job_actor import JobActor

#: By how much a body may be longer than its payload.
ENVELOPE_BYTES: Final = 65_536
#: The most retries that one job may ask for.
MAX_RETRIES: Final = 1_000


class Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of ``POST /jobs``. A field that is null counts as left out."""

    type: str
    payload: msgspec.Raw
    priority: Literal["high", "default"] | None = None
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be: everything in it has been checked."""

    actor: JobActor[..., Any]
    payload: str
    priority: str
    run_at: datetime | None
    options: dict[str, Any] | None


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
            envelope = self._decode(body)
            actor = self._types[envelope.type]
            payload = bytes(envelope.payload)
            if len(payload) > self._max_payload_bytes:
                raise Problem(TOO_LARGE, f"The payload may be {self._max_payload_bytes} bytes long at most.")
            actor.signature.check(payload)
            return Submission(
                actor,
                payload.decode(),
                envelope.priority or "default",
                envelope.run_at and envelope.run_at.astimezone(UTC),
                None if envelope.max_retries is None else {"max_retries": envelope.max_retries},
            )
        except (msgspec.MsgspecError, UnicodeError, RecursionError, KeyError, InvalidPayload, OverflowError):
            raise self._problem(body) from None

    def _problem(self, body: bytes) -> Problem:
        """Say everything that is wrong with a body. Slow: only for bodies that cannot be read."""
        if detail := _malformed(body):
            return Problem(MALFORMED_JSON, detail)
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            faults = [Fault("", "must be a JSON object")]
        else:
            faults = list(self._faults(fields))
        count = "One fault" if len(faults) == 1 else f"{len(faults)} faults"
        rest = f", the first {MAX_FAULTS_LISTED} of them listed" if len(faults) > MAX_FAULTS_LISTED else ""
        return Problem(INVALID_JOB, f"{count} in the submission{rest}.", faults=faults)

    def _faults(self, fields: dict[str, msgspec.Raw]) -> Iterator[Fault]:
        yield from self._faults_of_type(fields)
        if "payload" not in fields:
            yield Fault("/payload", "is required")
        for name, (kind, detail) in _OPTIONAL.items():
            if name in fields and not _fits(fields[name], kind):
                yield Fault(f"/{name}", detail)
        for name in fields:
            if name not in ("type", "payload", *_OPTIONAL):
                yield Fault("/" + name.replace("~", "~0").replace("/", "~1"), "is not a field of a submission")

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
    "priority": (Literal["high", "default"] | None, "must be high or default"),
    "runAt": (
        Annotated[datetime, Meta(tz=True)] | None,
        "must be an RFC 3339 time with its zone, such as 2030-01-31T08:00:00Z, within the years 1 to 9999 UTC",
    ),
    "maxRetries": (
        Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None,
        f"must be a whole number from 0 to {MAX_RETRIES}",
    ),
}


_LONE_SURROGATE: Final = re.compile(rb'\\u[dD][89a-fA-F][0-9a-fA-F]{2}"')


def _fits(value: msgspec.Raw, kind: Any) -> bool:
    try:
        decoded = msgspec.json.decode(value, type=kind)
        if isinstance(decoded, datetime):
            decoded.astimezone(UTC)
    except (msgspec.MsgspecError, OverflowError):
        return False
    return True


def _malformed(body: bytes) -> str | None:
    """Why a body is no JSON, or None if it is some."""
    if not body.strip():
        return "The body is empty."
    try:
        msgspec.json.decode(body)
    except msgspec.ValidationError:
        return None  # JSON, with a number that is out of range
    except msgspec.DecodeError as error:
        # msgspec calls a string that ends in half a surrogate pair "truncated".
        hint = ", or a \\u escape is half of a surrogate pair" if _LONE_SURROGATE.search(body) else ""
        return f"{str(error).removesuffix('.')}{hint}."
    except UnicodeError:
        return "The body is not valid UTF-8."
    except RecursionError:
        return "The body is nested too deeply."
    return None
