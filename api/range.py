"""Byte ranges (RFC 9110, section 14): one at a time. Whoever asks for several gets the whole."""

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.IGNORECASE)
#: A number with more digits is larger than any file.
_MOST_DIGITS: Final = 18


class Range(NamedTuple):
    """A part of a file: its first and its last byte, counted from 0."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last + 1 - self.first


#: No byte of the file is in the range.
NOT_SATISFIABLE: Final = Range(0, -1)


def read_range(header: str, size: int) -> Range | None:
    """The part of a file of ``size`` bytes that a ``Range`` header asks for.

    None where the header says nothing that is understood here: then the whole file is the right answer.
    """
    found = _RANGE.fullmatch(header)
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        length = min(_number(suffix), size)
        return Range(size - length, size - 1) if length else NOT_SATISFIABLE
    if last and _number(last) < _number(first):
        return None
    begin = _number(first)
    if begin >= size:
        return NOT_SATISFIABLE
    return Range(begin, min(_number(last), size - 1) if last else size - 1)


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
