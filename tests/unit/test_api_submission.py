"""What a submission may be, and what is said about one that may not."""

import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import MAX_FAULTS_LISTED, Problem
from api.submission import MAX_RETRIES, Submission, Submissions, malformed
from jobplatform.signature import Signature


def _greeting(name: str, shout: bool = False, tags: list[str] | None = None) -> None: ...


def _anything(value: Any = None) -> None: ...


@dataclass
class Actor:
    """As much of an actor as reading a submission needs."""

    type: str
    signature: Signature


def _submissions(max_payload_bytes: int = 1_000_000) -> Submissions:
    types: Any = {
        "GREETING": Actor("GREETING", Signature("GREETING", _greeting)),
        "ANYTHING": Actor("ANYTHING", Signature("ANYTHING", _anything)),
    }
    return Submissions(types, max_payload_bytes)


def _read(body: bytes) -> Submission:
    return _submissions().read(body)


def _problem(body: bytes) -> Problem:
    with pytest.raises(Problem) as raised:
        _read(body)
    return raised.value


def _pointers(body: bytes) -> list[str]:
    problem = _problem(body)
    assert problem.status_code == 422, problem.description
    return [fault.pointer for fault in problem.faults]


def _anything_of(value: bytes) -> bytes:
    return b'{"type": "ANYTHING", "payload": {"value": %s}}' % value


def test_a_submission_of_type_and_payload_is_enough() -> None:
    submission = _read(b'{"type": "GREETING", "payload": {"name": "Ada"}}')

    assert submission.actor.type == "GREETING"
    assert submission.priority == "default"
    assert submission.run_at is None
    assert submission.options is None


def test_the_payload_is_kept_as_it_was_written() -> None:
    payload = b'{ "shout":true,\t"name" : "\\u00c4da", "tags":[ ] }'

    assert _read(b'{"payload": %s, "type": "GREETING"}' % payload).payload == payload.decode()


def test_optional_fields_that_are_null_count_as_left_out() -> None:
    submission = _read(b'{"type":"ANYTHING","payload":{},"priority":null,"runAt":null,"maxRetries":null}')

    assert (submission.priority, submission.run_at, submission.options) == ("default", None, None)


def test_max_retries_becomes_an_option_of_the_job() -> None:
    assert _read(b'{"type":"ANYTHING","payload":{},"maxRetries":0}').options == {"max_retries": 0}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2030-01-31T08:00:00Z", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("2030-01-31T08:00:00.25+02:00", datetime(2030, 1, 31, 6, 0, 0, 250_000, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_run_at_is_a_moment_whatever_its_zone(written: str, meant: datetime) -> None:
    run_at = _read(b'{"type":"ANYTHING","payload":{},"runAt":"%s"}' % written.encode()).run_at

    assert run_at == meant
    assert run_at is not None
    assert run_at.tzinfo is UTC


@pytest.mark.parametrize(
    "run_at",
    [
        b'"2030-01-31T08:00:00"',
        b'"2030-01-31"',
        b'"tomorrow"',
        b'"2030-02-30T08:00:00Z"',
        b'"10000-01-01T00:00:00Z"',
        b'"9999-12-31T23:59:59-12:00"',
        b'"0001-01-01T00:00:00+12:00"',
        b"1893456000",
        b"[]",
    ],
)
def test_a_run_at_that_is_no_moment_of_utc_is_refused(run_at: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},"runAt":%s}' % run_at) == ["/runAt"]


@pytest.mark.parametrize("retries", [b"-1", b"1.5", b'"3"', b"true", b"%d" % (MAX_RETRIES + 1), b"9" * 5_000])
def test_a_max_retries_out_of_bounds_is_refused(retries: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},"maxRetries":%s}' % retries) == ["/maxRetries"]


@pytest.mark.parametrize("priority", [b'"urgent"', b'"HIGH"', b'""', b"1", b"{}"])
def test_a_priority_that_is_neither_high_nor_default_is_refused(priority: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},"priority":%s}' % priority) == ["/priority"]


def test_tags_keep_their_order_and_come_once() -> None:
    submission = _read(b'{"type":"ANYTHING","payload":{},"tags":["b","a","b"]}')

    assert (submission.tags, submission.unique_key, submission.on_conflict) == (("b", "a"), None, "reject")


@pytest.mark.parametrize("field", [b'"tags":[]', b'"tags":null', b'"uniqueKey":null', b'"onConflict":null'])
def test_tags_and_keys_may_be_left_out(field: bytes) -> None:
    submission = _read(b'{"type":"ANYTHING","payload":{},%s}' % field)

    assert (submission.tags, submission.unique_key, submission.on_conflict) == ((), None, "reject")


@pytest.mark.parametrize(
    "tags",
    [
        b'"nightly"',
        b"{}",
        b"[1]",
        b'[""]',
        b"[null]",
        b'["a\\u0000"]',
        b'["%s"]' % (b"a" * 65),
        b'["a"%s]' % (b',"a"' * 20),
    ],
)
def test_tags_that_are_none_are_refused(tags: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},"tags":%s}' % tags) == ["/tags"]


def test_tags_and_a_unique_key_may_be_as_long_as_is_said() -> None:
    tags = [f"{number:02}" + "\u00c4" * 62 for number in range(20)]
    body = {"type": "ANYTHING", "payload": {}, "tags": tags, "uniqueKey": "\u00c4" * 255, "onConflict": "replace"}

    submission = _read(msgspec.json.encode(body))

    assert submission.tags == tuple(tags)
    assert (submission.unique_key, submission.on_conflict) == ("\u00c4" * 255, "replace")


@pytest.mark.parametrize("key", [b"1", b'""', b"[]", b'"\\u0000"', b'"%s"' % (b"a" * 256)])
def test_a_unique_key_that_is_none_is_refused(key: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},"uniqueKey":%s}' % key) == ["/uniqueKey"]


@pytest.mark.parametrize("wanted", [b'"ignore"', b'"Replace"', b"true", b'""'])
def test_a_way_out_of_a_conflict_that_does_not_exist_is_refused(wanted: bytes) -> None:
    body = b'{"type":"ANYTHING","payload":{},"uniqueKey":"one","onConflict":%s}'

    assert _pointers(body % wanted) == ["/onConflict"]


@pytest.mark.parametrize("fields", [b'"onConflict":"reject"', b'"uniqueKey": null, "onConflict": "return"'])
def test_a_way_out_of_a_conflict_is_of_no_use_without_a_unique_key(fields: bytes) -> None:
    assert _pointers(b'{"type":"ANYTHING","payload":{},%s}' % fields) == ["/onConflict"]


def test_an_unknown_type_is_told_which_are_known() -> None:
    problem = _problem(b'{"type": "NOPE", "payload": {}}')

    assert [(fault.pointer, fault.detail) for fault in problem.faults] == [
        ("/type", "is unknown: the known types are ANYTHING, GREETING")
    ]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"{}", ["/type", "/payload"]),
        (b"[]", [""]),
        (b"null", [""]),
        (b'"text"', [""]),
        (b'{"type": 5, "payload": {}}', ["/type"]),
        (b'{"type": null, "payload": {}}', ["/type"]),
        (b'{"type": "ANYTHING", "payload": null}', ["/payload"]),
        (b'{"type": "ANYTHING", "payload": []}', ["/payload"]),
        (b'{"type": "GREETING", "payload": {}}', ["/payload/name"]),
        (b'{"type": "GREETING", "payload": {"name": "x", "nam/e~": 1}}', ["/payload/nam~1e~0"]),
        (b'{"type": "GREETING", "payload": {"name": "x", "tags": ["a", 1]}}', ["/payload/tags/1"]),
        (b'{"type": "ANYTHING", "payload": {}, "when/~": 1, "who": 2}', ["/when~1~0", "/who"]),
    ],
)
def test_a_fault_is_named_where_it_is(body: bytes, pointers: list[str]) -> None:
    assert _pointers(body) == pointers


def test_a_field_that_is_unknown_is_told_which_are_known() -> None:
    (fault,) = _problem(b'{"type": "ANYTHING", "payload": {}, "runat": null}').faults

    fields = "type, payload, priority, runAt, maxRetries, tags, uniqueKey, onConflict"
    assert (fault.pointer, fault.detail) == ("/runat", f"is not a field of a submission, which has {fields}")


def test_all_faults_are_named_at_once() -> None:
    body = b"""{"type": "GREETING", "priority": "x", "runAt": "y", "maxRetries": -1, "extra": 0,
                "payload": {"shout": "loud", "tags": 5}}"""

    assert sorted(_pointers(body)) == [
        "/extra",
        "/maxRetries",
        "/payload/name",
        "/payload/shout",
        "/payload/tags",
        "/priority",
        "/runAt",
    ]


_MANY: dict[str, Any] = {f"x{n}": n for n in range(5_000)}


@pytest.mark.parametrize(
    "body",
    [
        {"type": "ANYTHING", "payload": {}, **_MANY},
        {"type": "ANYTHING", "payload": _MANY},
        {"type": "ANYTHING", "payload": {"value": ["\0"] * 5_000}},
    ],
)
def test_no_more_than_a_hundred_faults_are_looked_for(body: dict[str, Any]) -> None:
    problem = _problem(msgspec.json.encode(body))

    assert problem.description == f"More than {MAX_FAULTS_LISTED} faults in the submission."
    assert len(problem.faults) == MAX_FAULTS_LISTED + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b'{"type": "ANYTHING", "payload": {}} x',
        b'\xef\xbb\xbf{"type": "ANYTHING", "payload": {}}',
        '{"type": "ANYTHING", "payload": {}}'.encode("utf-16"),
        _anything_of(b'"\xff"'),
        _anything_of(b'"\\ud800"'),
        _anything_of(b'"\\udc00 and more"'),
        _anything_of(b"NaN"),
        _anything_of(b"-Infinity"),
        _anything_of(b"'single'"),
        _anything_of(b"[1,]"),
        _anything_of(b'"\x00"'),
        _anything_of(b"[" * 100_000 + b"]" * 100_000),
        _anything_of(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        b"[" * 100_000,
        b'{"type": "\xff", "payload": {}}',
        b'{"type": "ANYTHING", "payload": {}, "\xff": 1}',
    ],
)
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    problem = _problem(body)

    assert problem.status_code == 400
    assert problem.description


def test_nothing_is_built_of_a_body_to_find_where_it_is_malformed() -> None:
    body = b"[" + b"[]," * 100_000
    tracemalloc.start()
    try:
        assert malformed(body)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_half_a_surrogate_pair_is_named_as_what_it_may_be() -> None:
    assert "surrogate" in (_problem(_anything_of(b'"\\ud800"')).description or "")


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (b'"\\u0000"', "/payload/value"),
        (b'["a", {"b": "c\\u0000"}]', "/payload/value/1/b"),
        (b'{"\\u0000": 1}', "/payload/value"),
        (b"9" * 5_000, "/payload/value"),
        (b"1e999", "/payload/value"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused(value: bytes, pointer: str) -> None:
    assert _pointers(_anything_of(value)) == [pointer]


def test_a_nul_at_any_depth_is_refused_and_never_breaks_anything() -> None:
    for depth in range(880, 1_000):
        for before, after in ((b"[", b"]"), (b'{"a":', b"}")):
            problem = _problem(_anything_of(before * depth + b'"\\u0000"' + after * depth))
            assert problem.status_code in (400, 422)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert _read(_anything_of(b'"\\\\u0000"')).payload == r'{"value": "\\u0000"}'


def test_of_a_name_that_comes_twice_the_last_value_counts() -> None:
    assert _read(b'{"type": "NOPE", "type": "ANYTHING", "payload": 1, "payload": {}}').actor.type == "ANYTHING"


@pytest.mark.parametrize(
    "twice", [b'"type": 1, "type": "ANYTHING"', b'"type": "ANYTHING", "priority": "x", "priority": "high"']
)
def test_an_earlier_value_that_would_not_do_is_named_as_a_fault_of_the_whole(twice: bytes) -> None:
    assert _pointers(b'{%s, "payload": {}}' % twice) == [""]


def test_a_payload_over_its_limit_is_too_large_and_one_at_the_limit_is_not() -> None:
    payload = b'{"value":"%s"}' % (b"x" * 88)
    body = b'{"type":"ANYTHING","payload":%s}' % payload

    assert _submissions(len(payload)).read(body).payload == payload.decode()
    with pytest.raises(Problem) as raised:
        _submissions(len(payload) - 1).read(body)
    assert raised.value.status_code == 413


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_fields = st.dictionaries(
    st.sampled_from(["type", "payload", "priority", "runAt", "maxRetries", "tags", "uniqueKey", "onConflict", "other"]),
    _json
    | st.sampled_from(
        ["GREETING", "ANYTHING", "high", "2030-01-31T08:00:00Z", {"name": "x"}, {"value": "\0"}, ["\0"], "\0", ["a"]]
    ),
)


@given(st.binary() | _json.map(msgspec.json.encode) | _fields.map(msgspec.json.encode))
def test_whatever_the_body_it_is_read_or_gets_a_clear_4xx(body: bytes) -> None:
    read: Submission | Problem
    try:
        read = _read(body)
    except Problem as problem:
        read = problem

    if isinstance(read, Problem):
        assert read.status_code in (400, 422)
        assert read.description
        assert (read.status_code == 422) == bool(read.faults)
    else:
        assert read.actor.type in ("GREETING", "ANYTHING")
