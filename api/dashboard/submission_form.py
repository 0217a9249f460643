"""The form that submits a job: fields of its payload and of the job itself, read as the body of ``POST /jobs``."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from api.dashboard.comparison import laid_out
from api.dashboard.form import Form
from api.dashboard.payload_form import PayloadForm
from api.submission import malformed
from jobplatform.errors import Fault

#: As browsers write the value of a ``datetime-local``.
_LOCAL: Final = re.compile(r"[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2}(\.[0-9]+)?)?")
#: How far the viewer's zone is ahead of UTC, in minutes.
_AHEAD: Final = re.compile(r"-?[0-9]{1,4}")

#: Python reads no number of some thousand digits; nor is one of so many a number of retries.
_TOO_LONG: Final = 20

#: The fields of the job beside its payload, under the names that the API has for them.
ENVELOPE: Final = ("priority", "runAt", "ahead", "maxRetries", "tags", "uniqueKey", "onConflict")
#: Where the payload stands where it is typed as JSON.
WHOLE: Final = "payload"


class Submitted(NamedTuple):
    """What was posted: the body that it makes for ``POST /jobs``, and what cannot be part of it."""

    body: bytes
    faults: tuple[Fault, ...]


class SubmissionForm:
    """The form of one type."""

    def __init__(self, type: str, schema: Mapping[str, Any]) -> None:  # noqa: A002
        self.type = type
        self.payload = PayloadForm(schema)

    def empty(self) -> dict[str, str]:
        """What stands in its fields at first."""
        return {**dict.fromkeys(ENVELOPE, ""), WHOLE: "{\n}", **self.payload.empty()}

    def filled(self, payload: str) -> tuple[dict[str, str], bool]:
        """The same with this payload in it, and whether its fields can show that: else it is there as JSON."""
        shown = self.payload.filled(payload)
        whole = laid_out(payload)
        return {**self.empty(), **(shown or {}), WHOLE: whole}, shown is not None

    def posted(self, form: Form) -> dict[str, str]:
        """What stands in its fields as they were posted."""
        names = (*ENVELOPE, WHOLE, *(field.posted_as for field in self.payload.fields))
        return {name: form.text(name) for name in names}

    def read(self, form: Form, *, as_json: bool) -> Submitted:
        """Read what was posted."""
        body: dict[str, Any] = {"type": self.type}
        faults: tuple[Fault, ...] = ()
        if not as_json:
            payload, faults = self.payload.read(self.posted(form))
            body["payload"] = msgspec.Raw(payload)
        elif detail := malformed(form.text(WHOLE).encode()):
            faults = (Fault("", detail),)
        else:
            body["payload"] = msgspec.Raw(form.text(WHOLE))
        body |= {name: form.text(name) for name in ("priority", "uniqueKey", "onConflict") if form.text(name)}
        if tags := [tag.strip() for tag in form.text("tags").replace(",", "\n").splitlines() if tag.strip()]:
            body["tags"] = tags
        if retries := form.text("maxRetries").strip():
            is_number = retries.isdecimal() and len(retries) < _TOO_LONG
            body["maxRetries"] = msgspec.Raw(str(int(retries))) if is_number else retries
        if at := form.text("runAt").strip():
            body["runAt"] = _moment(at, form.text("ahead"))
        return Submitted(msgspec.json.encode(body), faults)

    def beside(self, faults: tuple[Fault, ...], refused: tuple[Fault, ...]) -> dict[str, list[str]]:
        """What to say beside which field. Pointers start at the body in ``refused``, at the payload in ``faults``."""
        of_payload = [*faults]
        said: dict[str, list[str]] = {}
        for fault in refused:
            if fault.pointer == "/payload" and faults:
                continue  # it is left out because of what was said of it already
            if fault.pointer.startswith("/payload"):
                of_payload.append(Fault(fault.pointer.removeprefix("/payload"), fault.detail))
            else:
                name = fault.pointer.removeprefix("/").partition("/")[0]
                said.setdefault(name if name in ENVELOPE else "", []).append(fault.detail)
        for name, texts in self.payload.beside(of_payload).items():
            said[name] = said.get(name, []) + texts
        return said


def _moment(text: str, ahead: str) -> str:
    """A time of the viewer's zone in RFC 3339; without a script, of UTC. What is none stays as it is, to be refused."""
    found = _LOCAL.fullmatch(text)
    if found is None:
        return text
    minutes = int(ahead) if _AHEAD.fullmatch(ahead) else 0
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    return f"{text}{'' if found['seconds'] else ':00'}{sign}{hours:02}:{rest:02}"
