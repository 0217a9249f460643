"""The schemas: made from the structs that the API reads and answers with, and from the job types' signatures."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.act_body import ReasonBody
from api.actions import Action, ActionBody, FilterBody, Matched
from api.acts import RetryBody
from api.batch import BatchValid
from api.counts import CountsView
from api.explain import Explanation
from api.failures import FailureGroup
from api.health import HealthView, Readiness
from api.job_types import JobType
from api.logs import LogLine
from api.openapi.members import MEMBERS
from api.openapi.pattern import in_ecmascript
from api.openapi.shapes import Failure, Progress
from api.payloads import PayloadVersion
from api.problems import ProblemView
from api.queues import QueueView
from api.submission import Envelope
from api.submit import Valid
from api.views import EventView, JobView
from api.workers import Worker
from jobplatform.job_actor import JobActor
from jobplatform.states import Event, Status

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
#: What the API reads and answers with, all that these refer to included.
_STRUCTS: Final = (
    *(Envelope, Valid, BatchValid, ReasonBody, ActionBody, FilterBody, Action, Matched),
    *(JobView, Failure, Progress, EventView, LogLine, PayloadVersion, Explanation),
    *(CountsView, QueueView, Worker, FailureGroup, JobType, HealthView, Readiness, ProblemView),
)

#: What a property's type alone does not say, by schema and name.
_REFINED: Final[dict[tuple[str, str], Json]] = {
    ("Job", "id"): {"type": "string", "format": "uuid"},
    ("Job", "status"): {"enum": [str(status) for status in Status]},
    ("Job", "priority"): {"enum": ["high", "default"]},
    ("Job", "attempts"): {"type": "integer", "minimum": 0},
    ("Job", "payload"): {"type": "object", "description": "As it was submitted, keys in their order."},
    ("Job", "result"): {"description": "What the job returned."},
    ("Job", "error"): {"anyOf": [{"$ref": _REF.format(name="Failure")}, {"type": "null"}]},
    ("Job", "progress"): {"anyOf": [{"$ref": _REF.format(name="Progress")}, {"type": "null"}]},
    ("Event", "event"): {"enum": [str(event) for event in Event]},
    ("Event", "from"): {"enum": [*(str(status) for status in Status), None]},
    ("Event", "to"): {"enum": [str(status) for status in Status]},
    ("Event", "detail"): {"type": ["object", "null"]},
    ("Action", "id"): {"type": "string", "format": "uuid"},
    ("Action", "filter"): {"type": "object"},
    ("PayloadVersion", "payload"): {"type": "object"},
    ("RunningJob", "progress"): {"anyOf": [{"$ref": _REF.format(name="Progress")}, {"type": "null"}]},
    ("Fault", "pointer"): {"type": "string", "description": "Where: a JSON Pointer into the body."},
    ("Explanation", "status"): {"enum": [str(status) for status in Status]},
    ("RetryBody", "payload"): {"type": ["object", "null"]},
    ("FilterBody", "priority"): {"enum": ["high", "default", None]},
    ("FilterBody", "createdAfter"): {"type": ["string", "null"], "format": "date-time"},
    ("FilterBody", "createdBefore"): {"type": ["string", "null"], "format": "date-time"},
    ("FilterBody", "finishedAfter"): {"type": ["string", "null"], "format": "date-time"},
    ("FilterBody", "failure"): {"type": ["string", "null"], "maxLength": 1000, "pattern": "^[^:]*:[^:]*:"},
}


def schemas(types: Mapping[str, JobActor[..., Any]]) -> Json:
    """All of ``components/schemas``, with a payload and a submission for each of these job types."""
    _, made = msgspec.json.schema_components((*_STRUCTS, _tellable(RetryBody)), ref_template=_REF)
    found = {_shown(name): _refined(_shown(name), schema) for name, schema in made.items()}
    envelope = found.pop("Envelope")
    found["AcceptedJob"] = _with_job_id(found["Job"])
    for name, actor in sorted(types.items()):
        found.update(_of_type(name, actor, envelope))
    found["Submission"] = _submission(sorted(types), envelope)
    found["Batch"] = _batch()
    return dict(sorted(found.items()))


def items_of(name: str) -> Json:
    """An object that lists things of this schema."""
    return _object(items=_list(name))


def page_of(name: str) -> Json:
    """The same, with the cursor of the next page."""
    return _object(
        items=_list(name), next={"type": ["string", "null"], "description": "The `cursor` of the next page."}
    )


def ref(name: str) -> Json:
    """A reference to a schema."""
    return {"$ref": _REF.format(name=name)}


def _tellable(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same struct without defaults that are undecoded JSON, which msgspec cannot write into a schema."""
    fields = [
        (field.encode_name, field.type | msgspec.UnsetType, msgspec.UNSET)
        if isinstance(field.default, msgspec.Raw)
        else (field.encode_name, field.type, field.default)
        for field in msgspec.structs.fields(struct)
    ]
    return msgspec.defstruct(
        struct.__name__, fields, kw_only=True, forbid_unknown_fields=True, namespace={"__doc__": struct.__doc__}
    )


def _list(name: str) -> Json:
    return {"type": "array", "items": ref(name)}


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _refined(schema: str, told: Json) -> Json:
    told = {key: value for key, value in _renamed(told).items() if key != "title"}
    for name, property_ in told.get("properties", {}).items():
        refined = _REFINED.get((schema, name)) or _time(name, property_)
        told["properties"][name] = _described(refined, schema, name)
    if "description" in told:
        told["description"] = re.sub(r"\s+", " ", told["description"].replace("``", "`"))
    return told


def _described(property_: Json, schema: str, name: str) -> Json:
    description = MEMBERS.get((schema, name))
    return {**property_, "description": description} if description else property_


def _time(name: str, property_: Json) -> Json:
    """Times end in ``At``, or are ``at``."""
    if not re.fullmatch(r"at|\w+At", name):
        return property_
    if property_.get("type") == "string":
        return {**property_, "format": "date-time"}
    if {"type": "string"} in property_.get("anyOf", ()):
        return {"type": ["string", "null"], "format": "date-time"}
    return property_


def _renamed(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _new_ref(value) if key == "$ref" else _renamed(value) for key, value in told.items()}
    return [_renamed(value) for value in told] if isinstance(told, list) else told


def _new_ref(target: str) -> str:
    return _REF.format(name=_shown(target.rpartition("/")[2]))


def _shown(name: str) -> str:
    """A thing is named after what it is, not after its being shown."""
    return name.removesuffix("View")


def _with_job_id(job: Json) -> Json:
    job_id = {"type": "string", "format": "uuid", "description": "The same as `id`."}
    return {
        "type": "object",
        "description": "A job that was accepted.",
        "required": ["jobId", *job["required"]],
        "properties": {"jobId": job_id, **job["properties"]},
    }


def _of_type(name: str, actor: JobActor[..., Any], envelope: Json) -> Json:
    """The payload of one job type with all that it refers to, and the submission that carries it."""
    payload = dict(actor.signature.schema())
    within = payload.pop("$defs", {})
    told = {f"{name}.{inner}": _moved(schema, name) for inner, schema in within.items()}
    told[f"{name}.payload"] = {**_moved(payload, name), "title": f"Payload of {name}"}
    own = {"type": {"const": name}, "payload": ref(f"{name}.payload")}
    told_of = {member: _described(schema, "Envelope", member) for member, schema in own.items()}
    properties = {**envelope["properties"], **told_of}
    told[f"{name}.submission"] = {**envelope, "title": name, "description": actor.description, "properties": properties}
    return told


def _moved(told: Any, name: str) -> Any:
    """With its references to what is moved along, and patterns as JSON Schema has them."""
    if isinstance(told, dict):
        return {
            key: value.replace("#/$defs/", f"#/components/schemas/{name}.")
            if key == "$ref"
            else in_ecmascript(value)
            if key == "pattern" and isinstance(value, str)
            else _moved(value, name)
            for key, value in told.items()
        }
    return [_moved(value, name) for value in told] if isinstance(told, list) else told


def _batch() -> Json:
    list_ = {"type": "array", "items": ref("Submission"), "minItems": 1, "maxItems": 10_000}
    jobs = _described(list_, "Batch", "jobs")
    return {**_object(jobs=jobs), "additionalProperties": False, "description": "Jobs to be, all or none."}


def _submission(types: list[str], envelope: Json) -> Json:
    if not types:
        return {**envelope, "description": "A job to be, of a type that `GET /types` lists."}
    one_of = {name: _REF.format(name=f"{name}.submission") for name in types}
    return {
        "description": "A job to be, of one of the types that this API knows. A field that is null counts as left out.",
        "oneOf": [{"$ref": target} for target in one_of.values()],
        "discriminator": {"propertyName": "type", "mapping": one_of},
    }
