"""What stands in the file that CSV_EXPORT writes."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.csv_export import PROGRESS_ROWS, all_keys, cell, csv_export, harmless, write_csv
from jobplatform.errors import InvalidPayload


def rows(*texts: str) -> list[msgspec.Raw]:
    return [msgspec.Raw(text.encode()) for text in texts]


def written(data: list[msgspec.Raw], columns: Iterable[str] | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    write_csv(file, data, list(columns) if columns is not None else all_keys(data), **options)
    return file.getvalue()


def value_of(text: str) -> str:
    return cell(msgspec.Raw(text.encode()))


def refused(payload: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidPayload) as caught:
        csv_export.signature.check(json.dumps(payload))
    return [fault.pointer for fault in caught.value.faults]


def test_the_header_is_the_union_of_all_keys_as_they_first_appear() -> None:
    data = rows('{"name": "Ada", "id": 1}', '{"id": 2, "email": "g@example.org"}')

    assert written(data) == b"name,id,email\r\nAda,1,\r\n,2,g@example.org\r\n"


def test_given_columns_are_exactly_those_in_that_order() -> None:
    data = rows('{"a": 1, "b": 2, "c": 3}', '{"c": 4}')

    assert written(data, ["c", "none", "a"]) == b"c,none,a\r\n3,,1\r\n4,,\r\n"


def test_cells_are_quoted_where_the_format_asks_for_it() -> None:
    data = rows(r'{"a": "say \"hi\"", "b": "x,y", "c": "two\r\nlines", "d": "two\nlines", "e": " plain "}')

    assert written(data) == b'a,b,c,d,e\r\n"say ""hi""","x,y","two\r\nlines","two\nlines", plain \r\n'


def test_the_delimiter_may_be_any_character_and_is_quoted_within_numbers_too() -> None:
    data = rows('{"a": "x;y", "b": 1.5}')

    assert written(data, delimiter=";") == b'a;b\r\n"x;y";1.5\r\n'
    assert written(data, delimiter=".") == b'a.b\r\nx;y."1.5"\r\n'
    assert written(data, delimiter="😀").decode() == "a😀b\r\nx;y😀1.5\r\n"


def test_a_single_empty_cell_is_no_blank_line() -> None:
    assert written(rows('{"a": null}')) == b'a\r\n""\r\n'


def test_text_is_utf_8_with_a_byte_order_mark_only_if_wished() -> None:
    data = rows('{"größe": "\\u00fc \\ud83d\\ude00"}')

    assert written(data).decode() == "größe\r\nü 😀\r\n"
    assert written(data, bom=True) == b"\xef\xbb\xbf" + written(data)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ('""', ""),
        ("-5", "-5"),
        ("1e2", "1e2"),
        ("0.10", "0.10"),
        ("-0.0", "-0.0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ('[1, {"x" : 1.50}]', '[1,{"x":1.50}]'),
        ('{"a": "\\u00e9 \\/ \\"q\\" \\\\u00e9", "b": [ ]}', '{"a":"é / \\"q\\" \\\\u00e9","b":[]}'),
    ],
)
def test_values_are_told_without_loss(source: str, expected: str) -> None:
    assert value_of(source) == expected


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\r=1",
        "\n=1",
        "\r",
        " =1",
        "\u00a0=1",
        "\ufeff=1",
        "\u200b@x",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
        "-",
        "--5",
        "+1 234",
        "-5\n",
        "-5=",
        "-\u0665",
        "-1e",
    ],
)
def test_what_a_spreadsheet_may_run_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert value_of(json.dumps(text)) == f"'{text}"


@pytest.mark.parametrize("text", ["", "plain", "a=b", "-5", "+3.2", "-1.5e-7", "5-3", " x", "'=1", "a\tb", "a@b.org"])
def test_other_text_stays_as_it_is_and_so_do_signed_numbers(text: str) -> None:
    assert harmless(text) == text


def test_header_cells_are_harmless_too() -> None:
    assert written(rows('{"=1+1": 1}')) == b"'=1+1\r\n1\r\n"
    assert written([], ["@a", "b"]) == b"'@a,b\r\n"


def test_without_rows_there_is_the_header_of_the_columns_or_nothing() -> None:
    assert written([], ["a", "b"]) == b"a,b\r\n"
    assert written([]) == b""
    assert write_csv(io.BytesIO(), [], []) == 0


def test_rows_without_any_key_make_an_empty_file() -> None:
    file = io.BytesIO()

    assert write_csv(file, rows("{}", "{}"), []) == 0
    assert file.getvalue() == b""


def test_progress_is_told_now_and_then_and_at_the_end() -> None:
    told: list[tuple[int, int]] = []
    total = 2 * PROGRESS_ROWS + 1

    written(rows('{"a": 1}') * total, progress=lambda *done: told.append(done))

    assert told == [(0, total), (PROGRESS_ROWS, total), (2 * PROGRESS_ROWS, total), (total, total)]


def test_a_repeated_column_is_refused() -> None:
    with pytest.raises(InvalidPayload) as refused:
        csv_export.signature.check('{"data": [], "columns": ["a", "b", "a", "", ""]}')

    assert [fault.pointer for fault in refused.value.faults] == ["/columns/2", "/columns/4"]
    csv_export.signature.check('{"data": [], "columns": null}')


def test_the_schema_tells_the_limits_and_a_faulty_payload_is_refused() -> None:
    schema = csv_export.signature.schema()

    assert schema["properties"]["data"]["items"] == {"type": "object"}
    assert schema["required"] == ["data"]
    assert refused({"data": [{}, 5]}) == ["/data/1"]
    assert refused({"data": {"a": 1}}) == ["/data"]
    assert refused({"data": [], "columns": []}) == ["/columns"]
    assert refused({"data": [], "columns": ["a", 1]}) == ["/columns/1"]
    for delimiter in ("", "ab", '"', "\r", "\n", ",\n"):
        assert refused({"data": [], "delimiter": delimiter}) == ["/delimiter"]
    for name in ("", ".", "..", "a/b", "a\\b", "a\nb", "a\n", "\x1fa", "\u202egpj.exe", "x" * 201):
        assert refused({"data": [], "fileName": name}) == ["/fileName"]


@pytest.mark.parametrize("name", ["customers.csv", ".hidden", "...", "größe 2026.csv", "a..b"])
def test_ordinary_file_names_are_taken(name: str) -> None:
    csv_export.signature.check(json.dumps({"data": [], "fileName": name, "delimiter": "\t", "columns": ["a"]}))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON_VALUES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_whatever_the_rows_hold_a_csv_reader_finds_every_cell_again(data: list[dict[str, Any]]) -> None:
    file = written([msgspec.Raw(json.dumps(row).encode()) for row in data]).decode()

    header, *lines = csv.reader(io.StringIO(file, newline=""), strict=True)

    keys = list(dict.fromkeys(key for row in data for key in row))
    assert header == [harmless(key) for key in keys]
    assert lines == [[expected(row[key]) if key in row else "" for key in keys] for row in data]


def expected(value: Any) -> str:
    if value is None or isinstance(value, str):
        return harmless(value or "")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
