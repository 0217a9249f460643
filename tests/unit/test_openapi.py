"""openapi.json says what the API does: each operation, each answer, each problem."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from api.app import create_app
from api.cors import Cors
from api.openapi import describe
from api.openapi.headers import HEADERS
from api.openapi.members import MEMBERS
from api.openapi.parameters import PARAMETERS
from api.openapi.pattern import _SPACES, in_ecmascript
from api.problems import KINDS
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.reader import Reader
from jobplatform.settings import Settings
from tests.services.calls import calls

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "openapi.json").read_text("utf-8"))
OPERATIONS = {
    (method, path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}


def _each(told: Any, key: str) -> Iterator[Any]:
    """Every value of this key, anywhere."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name == key:
                yield value
            yield from _each(value, key)
    elif isinstance(told, list):
        for value in told:
            yield from _each(value, key)


def _resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _schema(told: dict[str, Any]) -> dict[str, Any]:
    """A schema that stands by itself."""
    return {**told, "components": DOCUMENT["components"]}


def test_the_committed_document_is_what_the_code_says() -> None:
    said = subprocess.run([sys.executable, "-m", "api.openapi"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert (ROOT / "openapi.json").read_text("utf-8") == said.stdout, "run: make openapi"


def test_each_call_of_the_app_is_described_and_no_other() -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1")
    app = create_app(JobBroker(settings), Reader(), Inquiries(), settings)

    assert set(OPERATIONS) == {(method.lower(), path) for method, path in calls(app)}


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    references = set(_each(DOCUMENT, "$ref"))

    assert all(_resolved(reference) for reference in references)
    assert {f"#/components/headers/{name}" for name in HEADERS} >= {r for r in references if "/headers/" in r}
    assert {f"#/components/parameters/{name}" for name in PARAMETERS} >= {r for r in references if "/parameters/" in r}


def test_every_schema_is_one() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate(_schema(schema))
        assert jsonschema_rs.validator_for(_schema(schema)), name


def test_each_operation_has_a_name_of_its_own_and_a_summary() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]

    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in OPERATIONS.values())


def test_every_variable_of_a_path_is_described() -> None:
    for (_, path), operation in OPERATIONS.items():
        parameters = [_resolved(parameter["$ref"]) for parameter in operation["parameters"]]
        told = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert told == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path


def test_every_answer_carries_the_request_s_id() -> None:
    answers = [
        answer
        for operation in OPERATIONS.values()
        for answer in operation["responses"].values()
        if set(answer.get("content", ())) != {"text/plain"}  # the server's own
    ]

    assert len(answers) > 50
    assert [answer for answer in answers if "X-Request-Id" not in answer["headers"]] == []


def test_a_page_of_a_listed_origin_may_send_every_header_that_is_described() -> None:
    preflight = dict(Cors(["https://dashboard.example"]).preflight())

    described = {parameter["name"] for parameter in PARAMETERS.values() if parameter["in"] == "header"}
    assert described - set(preflight[b"access-control-allow-headers"].decode().split(", ")) == set()


def test_every_kind_of_problem_is_an_answer_to_something() -> None:
    told = {uri for uris in _each(DOCUMENT["paths"], "enum") for uri in uris if str(uri).startswith("/problems/")}

    # A method that a path does not have is no operation of it.
    assert told == {kind.uri for kind in KINDS} - {"/problems/method-not-allowed"}


def _members(schema: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member of what a body may be, and of what lies in it."""
    if "$ref" in schema:
        place = schema["$ref"].rpartition("/")[2]
        schema = _resolved(schema["$ref"])
    for within in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), schema.get("items", {})):
        yield from _members(within, place) if within else ()
    for name, member in schema.get("properties", {}).items():
        yield f"{place} {name}", member
        yield from _members(member, f"{place} {name}")


def test_every_member_of_a_body_is_explained() -> None:
    schemas = [operation["requestBody"]["content"]["application/json"]["schema"] for operation in OPERATIONS.values()
               if "requestBody" in operation]  # fmt: skip
    members = dict(member for schema in schemas for member in _members(schema, ""))

    unexplained = [
        place
        for place, member in members.items()
        if not any("description" in told for told in (member, *member.get("anyOf", ())))
    ]
    assert len(members) > 30
    assert unexplained == []
    assert "Left out: `reject`." in members["CSV_EXPORT.submission onConflict"]["description"]


def test_all_that_is_said_of_members_is_said_of_some() -> None:
    said = {text for text in _each(DOCUMENT["components"]["schemas"], "description") if isinstance(text, str)}

    assert set(MEMBERS.values()) - said == set()


def test_the_examples_of_bodies_fit_their_schemas() -> None:
    bodies = [operation["requestBody"]["content"]["application/json"] for operation in OPERATIONS.values() if
              "requestBody" in operation]  # fmt: skip
    examples = [(example["value"], body["schema"]) for body in bodies for example in body.get("examples", {}).values()]

    assert examples
    for value, schema in examples:
        jsonschema_rs.validator_for(_schema(schema)).validate(value)


@pytest.mark.parametrize(
    ("python", "ecmascript"),
    [
        (r"^a(?![\s\S])", "^a$"),
        (r"^[^\s@]+", rf"^[^{_SPACES}@]+"),
        (r"\s+", rf"[{_SPACES}]+"),
        (r"[\]\S]x", r"[\]\S]x"),
    ],
)
def test_a_signatures_patterns_are_told_as_json_schema_reads_them(python: str, ecmascript: str) -> None:
    assert in_ecmascript(python) == ecmascript


@pytest.mark.parametrize("keyed", [True, False])
def test_what_needs_a_key_says_so_with_its_scope(keyed: bool) -> None:
    paths = describe({}, keyed=keyed)["paths"]

    assert paths["/health"]["get"]["security"] == []
    assert paths["/jobs"]["post"]["security"] == [{"key": ["submit"]}, *([] if keyed else [{}])]
    assert paths["/jobs/{job_id}"]["get"]["security"] == [{"key": ["read"]}, *([] if keyed else [{}])]


def test_each_job_type_has_its_payload_described_with_all_that_it_refers_to() -> None:
    broker = JobBroker(Settings())

    class Person(msgspec.Struct):
        name: str
        boss: "Person | None" = None

    globals()["Person"] = Person

    @broker.actor("GREET_ALL")
    def greet_all(people: list[Person]) -> None:
        """Greet them."""

    schemas = describe(broker.types, keyed=False)["components"]["schemas"]

    assert schemas["Submission"]["discriminator"]["mapping"] == {
        "GREET_ALL": "#/components/schemas/GREET_ALL.submission"
    }
    assert schemas["GREET_ALL.submission"]["properties"]["type"]["const"] == "GREET_ALL"
    people = schemas["GREET_ALL.payload"]["properties"]["people"]
    assert people["items"] == {"$ref": "#/components/schemas/GREET_ALL.Person"}
    assert "#/components/schemas/GREET_ALL.Person" in set(_each(schemas["GREET_ALL.Person"], "$ref"))


def test_without_types_a_submission_is_described_all_the_same() -> None:
    schema = describe({}, keyed=False)["components"]["schemas"]["Submission"]

    assert schema["required"] == ["type", "payload"]
