"""One operation of the API: what it takes, and what it may answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.keys import scope_for
from api.openapi.headers import header_refs
from api.problems import KINDS, Kind

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that is no problem. Without a schema it has no body."""

    description: str
    schema: Json | None = None
    media_type: str = "application/json"
    headers: Sequence[str] = ()
    #: Further media types of the same answer, each with its schema.
    also: Mapping[str, Json] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a path. Parameters and problems that concern whole groups of operations are added by `described`."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: Sequence[str] = ()
    #: The name of the body's schema.
    body: str | None = None
    body_required: bool = True
    examples: Mapping[str, Any] = field(default_factory=dict)
    #: The names of the kinds of problems that are its own.
    problems: Sequence[str] = ()
    #: Whether it asks Postgres.
    reads_postgres: bool = True

    def described(self, *, keyed: bool) -> Json:
        """As OpenAPI's Operation Object. ``keyed``: whether this API asks for keys."""
        # The gate knows paths as they are asked for, and no path that needs a scope has a variable in a special place.
        scope = scope_for(self.method.upper(), self.path)
        told: Json = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            **({"description": self.description} if self.description else {}),
            "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in (*self.parameters, "X-Request-Id")],
        }
        if self.body:
            content: Json = {"schema": {"$ref": f"#/components/schemas/{self.body}"}}
            if self.examples:
                content["examples"] = {name: {"value": value} for name, value in self.examples.items()}
            told["requestBody"] = {"required": self.body_required, "content": {"application/json": content}}
        answers = {status: _answer(answer) for status, answer in self.answers.items()}
        responses = {**answers, **_BY_THE_SERVER, **self._problems(scope)}
        told["responses"] = {str(status): answer for status, answer in sorted(responses.items())}
        told["security"] = [] if scope is None else [{"key": [scope]}] if keyed else [{"key": [scope]}, {}]
        return told

    def _problems(self, scope: str | None) -> dict[int, Json]:
        names = [*self.problems, "internal-error"]
        if self.body:
            names += ["invalid-parameter", "malformed-json", "incomplete-body", "too-large", "unsupported-media-type"]
        if scope is not None:
            names += ["unauthorized", "forbidden", "too-many-requests"]
        if self.reads_postgres:
            names.append("unavailable")
        kinds = [kind for kind in KINDS if kind.name in names]
        by_status: dict[int, list[Kind]] = {}
        for kind in kinds:
            by_status.setdefault(kind.status, []).append(kind)
        return {status: _problem(kinds) for status, kinds in by_status.items()}


def _answer(answer: Answer) -> Json:
    told: Json = {"description": answer.description, "headers": header_refs("X-Request-Id", *answer.headers)}
    if answer.schema is not None:
        content: Json = {"schema": answer.schema}
        if answer.example is not None:
            content["example"] = answer.example
        told["content"] = {answer.media_type: content}
        told["content"].update({media_type: {"schema": schema} for media_type, schema in answer.also.items()})
    return told


_PLAIN: Json = {"text/plain": {"schema": {"type": "string"}}}
#: What gunicorn refuses before the API sees it.
_BY_THE_SERVER: Mapping[int, Json] = {
    400: {"description": "This is no HTTP.", "content": _PLAIN},
    414: {"description": "The address is longer than 4 KiB.", "content": _PLAIN},
    431: {"description": "A header is longer than 8 KiB.", "content": _PLAIN},
}
#: The headers that a problem of this status carries.
_HEADERS: Mapping[int, Sequence[str]] = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}


def _problem(kinds: Sequence[Kind]) -> Json:
    status = kinds[0].status
    request_id = "X-Request-Id" if status != 400 else "Optional-X-Request-Id"
    return {
        "description": "; or: ".join(f"{kind.title} (`{kind.uri}`)" for kind in kinds) + ".",
        "headers": header_refs(request_id, *_HEADERS.get(status, ())),
        "content": {
            # A request that is no HTTP gunicorn refuses by itself.
            **(_PLAIN if status == 400 else {}),
            "application/problem+json": {
                "schema": {
                    "allOf": [{"$ref": "#/components/schemas/Problem"}],
                    "properties": {"type": {"enum": [kind.uri for kind in kinds]}, "status": {"const": status}},
                }
            },
        },
    }
