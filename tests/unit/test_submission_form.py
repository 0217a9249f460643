"""The form that submits a job, as the body of ``POST /jobs``."""

import json
from typing import Any

import pytest

from api.dashboard.form import Form
from api.dashboard.submission_form import SubmissionForm
from jobplatform.errors import Fault
from tests.actors.probes import nap

FORM = SubmissionForm("NAP", nap.signature.schema())


def body(**texts: str) -> Any:
    posted = {**FORM.empty(), **texts}
    read = FORM.read(Form({name: [text] for name, text in posted.items()}), as_json=False)
    assert read.faults == ()
    return json.loads(read.body)


def test_a_form_that_nobody_changed_says_what_it_shows() -> None:
    assert body() == {"type": "NAP", "payload": {"seconds": 0.02}}


def test_what_is_said_of_the_job_stands_beside_the_payload() -> None:
    said = {"priority": "high", "uniqueKey": "one", "onConflict": "return", "maxRetries": " 07 "}

    assert body(**said, tags="nightly, eu\nnightly ,") == {
        "type": "NAP",
        "payload": {"seconds": 0.02},
        "priority": "high",
        "uniqueKey": "one",
        "onConflict": "return",
        "maxRetries": 7,
        "tags": ["nightly", "eu", "nightly"],
    }
    assert body(maxRetries="many")["maxRetries"] == "many"
    assert body(maxRetries="9" * 5_000)["maxRetries"] == "9" * 5_000


@pytest.mark.parametrize(
    ("typed", "ahead", "meant"),
    [
        ("2030-01-31T08:00", "", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31T08:00:30", "120", "2030-01-31T08:00:30+02:00"),
        ("2030-01-31T08:00", "-210", "2030-01-31T08:00:00-03:30"),
        ("tomorrow", "60", "tomorrow"),
    ],
)
def test_times_are_those_of_the_viewer(typed: str, ahead: str, meant: str) -> None:
    assert body(runAt=typed, ahead=ahead)["runAt"] == meant


def test_a_payload_that_is_typed_keeps_its_spelling() -> None:
    read = FORM.read(Form({"payload": ['{"seconds": 1.0e0}']}), as_json=True)

    assert read.body == b'{"type":"NAP","payload":{"seconds": 1.0e0}}'


def test_what_is_no_json_is_said_once() -> None:
    read = FORM.read(Form({"payload": ["{"]}), as_json=True)
    said = FORM.beside(read.faults, (Fault("/payload", "is required"),))

    assert json.loads(read.body) == {"type": "NAP"}
    assert list(said) == [""]
    assert len(said[""]) == 1


def test_faults_stand_beside_the_fields_of_the_job_and_of_the_payload() -> None:
    refused = (Fault("/payload/seconds", "is bad"), Fault("/runAt", "is past"), Fault("/tags/0", "is long"))

    assert FORM.beside((), refused) == {
        "runAt": ["is past"],
        "tags": ["is long"],
        "payload.seconds": ["is bad"],
    }


def test_the_payload_of_a_job_is_shown_in_fields_or_else_as_json() -> None:
    values, fits = FORM.filled('{"seconds":7}')
    assert (values["payload.seconds"], fits) == ("7", True)

    values, fits = FORM.filled('{"seconds":7,"more":1}')
    assert (values["payload"], fits) == ('{\n  "seconds": 7,\n  "more": 1\n}', False)
