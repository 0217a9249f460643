"""CSV_EXPORT: a list of JSON objects becomes a CSV file (RFC 4180), written row by row."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final, NotRequired, Protocol, TypedDict

import msgspec
from msgspec import Meta

from jobplatform import Holds, actor, current_job

#: `(?![\s\S])` is the end of the text, and nothing else, in Python and in JSON Schema: `$` lets a last newline pass.
_END: Final = r"(?![\s\S])"

Row = Annotated[msgspec.Raw, Holds(dict[str, Any])]
Rows = Annotated[
    list[Row],
    Meta(
        description=(
            "The rows. Text, numbers, `true` and `false` stand in their cells as they are, lists and objects as JSON,"
            " null as an empty cell. Text that a spreadsheet might run as a formula gets an apostrophe in front."
        )
    ),
]
Columns = Annotated[
    list[str],
    Meta(
        min_length=1,
        description=(
            "Exactly these columns, in this order; what a row lacks is an empty cell, and a name that no row has is"
            " an empty column. Without them: all keys of all rows, as they first appear."
        ),
        extra_json_schema={"uniqueItems": True},
    ),
]
Delimiter = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1,
        pattern=rf'^[^"\r\n\x00]{_END}',
        description="The character between cells; no quote and no line break.",
    ),
]
#: No separator of folders, no control or direction-changing character, neither "." nor "..".
FileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=rf"^(?!\.{{1,2}}{_END})[^/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+{_END}",
        description=(
            "A name to suggest for a download: without slashes, backslashes and control characters, and neither `.` nor"
            " `..`. On disk the file is named by the job."
        ),
        examples=["customers.csv"],
    ),
]
ByteOrderMark = Annotated[bool, Meta(description="Begin with a byte order mark, by which Excel knows UTF-8.")]


class Export(TypedDict):
    """The result."""

    filePath: str
    rows: int
    bytes: int
    sha256: str
    fileName: NotRequired[str]


@actor("CSV_EXPORT")
def csv_export(
    data: Rows,
    columns: Columns | None = None,
    delimiter: Delimiter = ",",
    fileName: FileName | None = None,  # noqa: N803 - the payload's name
    bom: ByteOrderMark = False,
) -> Export:
    """Write a list of objects to a CSV file."""
    job = current_job()
    with job.open_output(".csv") as output:
        rows = write_csv(output, data, columns or all_keys(data), delimiter, bom, job.progress)
    export: Export = {"filePath": output.path, "rows": rows, "bytes": output.bytes, "sha256": output.sha256}
    return export if fileName is None else {**export, "fileName": fileName}


class Sink(Protocol):
    """Where the file's bytes go."""

    def write(self, data: bytes, /) -> object:
        """Append."""


#: How many rows lie between two reports of progress.
PROGRESS_ROWS: Final = 5_000

# The values stay JSON text: a number keeps its spelling, and no row is built before its turn.
_row: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)


def all_keys(rows: Iterable[msgspec.Raw]) -> list[str]:
    """The keys of all rows, in the order in which they first appear."""
    keys: dict[str, None] = {}
    for row in rows:
        keys.update(dict.fromkeys(_row.decode(row)))
    return list(keys)


def write_csv(
    sink: Sink,
    rows: Sequence[msgspec.Raw],
    columns: Sequence[str],
    delimiter: str = ",",
    bom: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> int:
    """Write a header line and a line for each row; nothing where there is no column. Returns the number of rows."""
    if bom:
        sink.write("\N{ZERO WIDTH NO-BREAK SPACE}".encode())
    if not columns:
        return 0
    lines = csv.writer(_Utf8(sink), delimiter=delimiter, lineterminator="\r\n")
    lines.writerow(map(harmless, columns))
    for number, row in enumerate(rows):
        if number % PROGRESS_ROWS == 0:
            progress(number, len(rows))
        values = _row.decode(row)
        lines.writerow([cell(values[name]) if name in values else "" for name in columns])
    progress(len(rows), len(rows))
    return len(rows)


def cell(value: msgspec.Raw) -> str:
    """What stands in the file for a JSON value."""
    source = bytes(value)
    match source[:1]:
        case b'"':
            return harmless(_text.decode(source))
        case b"n":
            return ""
        case b"{" | b"[":
            return _compact(source)
        case _:  # a number or a boolean, which no spreadsheet takes for a formula
            return source.decode()


#: What a spreadsheet may take for the beginning of a formula: also full-width, and after space that a reader may trim.
_FORMULA: Final = re.compile(r"[\t\r\n]|[\s\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
#: A signed number: the only such text that can mean nothing but itself.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def harmless(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet might run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


def _compact(source: bytes) -> str:
    """A JSON text without needless space and escapes, its numbers as they were spelled."""
    compact = msgspec.json.format(source, indent=-1)
    if b"\\" in compact:
        compact = _STRING.sub(lambda found: msgspec.json.encode(_text.decode(found[0])), compact)
    return compact.decode()


class _Utf8:
    """Takes text, passes on UTF-8."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, text: str) -> object:
        return self._sink.write(text.encode())
