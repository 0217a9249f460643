"""The committed openapi.json, and whether an answer is as it says."""

import json
from functools import cache
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, Final, NamedTuple

import jsonschema_rs

_PROBLEM: Final = "application/problem+json"
_DOCUMENT: Final[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "openapi.json").read_text("utf-8"))


class Told(NamedTuple):
    """One way in which a call may answer.

    ``kind`` is the last part of a problem's type; where the answer is none, its media type; "" where it has no body.
    """

    method: str
    path: str
    status: int
    kind: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status} {self.kind}".strip()


def told() -> set[Told]:
    """All that openapi.json says."""
    return {
        Told(method.upper(), path, int(status), kind)
        for path, item in _DOCUMENT["paths"].items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        for kind in _kinds(answer)
    }


def assert_as_told(which: Told, headers: HTTPMessage, body: bytes) -> None:
    """Hold an answer against what openapi.json says of its call and status.

    Raises:
        AssertionError: it has another kind, no header that it must have, or a body that does not fit.
    """
    answer = _answer(which)
    for name, header in answer.get("headers", {}).items():
        _assert_header(name, _component(header), headers.get(name))
    media_type = headers.get("Content-Type", "").partition(";")[0]
    if not which.kind:
        assert (media_type, body) == ("", b"")
        return
    content = answer["content"]
    assert media_type in content or (media_type and "*/*" in content), f"It is {media_type or 'nothing at all'}."
    if media_type == _PROBLEM:
        problem = json.loads(body)
        assert (problem["type"], problem["status"]) == (f"/problems/{which.kind}", which.status), problem
    else:
        assert which.kind in (media_type, "*/*"), body[:1_000]
    if media_type in ("application/json", _PROBLEM) and media_type in content:
        _validator(which, media_type).validate(json.loads(body))
    else:
        assert body, "It has no body."


def _kinds(answer: dict[str, Any]) -> list[str]:
    kinds: list[str] = []
    for media_type, content in answer.get("content", {}).items():
        problems = content["schema"]["properties"]["type"]["enum"] if media_type == _PROBLEM else ()
        kinds += [uri.removeprefix("/problems/") for uri in problems] or [media_type]
    return kinds or [""]


def _answer(which: Told) -> Any:
    return _DOCUMENT["paths"][which.path][which.method.lower()]["responses"][str(which.status)]


def _component(header: dict[str, str]) -> Any:
    return _DOCUMENT["components"]["headers"][header["$ref"].rpartition("/")[2]]


def _assert_header(name: str, header: dict[str, Any], given: str | None) -> None:
    if given is None:
        assert not header.get("required"), f"It has no {name}."
        return
    value = int(given) if header["schema"].get("type") == "integer" else given
    jsonschema_rs.validator_for(header["schema"]).validate(value)


@cache
def _validator(which: Told, media_type: str) -> Any:
    schema = _answer(which)["content"][media_type]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": _DOCUMENT["components"]})
