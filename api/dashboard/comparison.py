"""Versions of a payload side by side: what was there and is no more, and what came instead.

JSON is laid out as text: the keys keep their order, and numbers their digits, however many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import msgspec

#: Longer texts, in characters, are cut when they are shown.
MOST_SHOWN: Final = 100_000
#: Texts that differ over more lines than these are not compared: how long it takes grows with the square of that.
MOST_COMPARED: Final = 500
#: So many lines around each change are shown.
AROUND: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison. ``sign``: ``-`` was there, ``+`` came, a space stayed, ``…`` is some that stayed."""

    sign: str
    text: str


def laid_out(json: str) -> str:
    """A JSON text with one value per line; as it is where it cannot be read."""
    try:
        return msgspec.json.format(json, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return json


def comparison(before: str, after: str) -> list[Line] | None:
    """How one JSON text became another. None: they are too long to be compared."""
    old, new = laid_out(before).split("\n"), laid_out(after).split("\n")
    same = _same(old, new)
    if max(len(old), len(new)) - same > MOST_COMPARED:
        return None
    return [line for group in _groups(old, new) for line in group]


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are the same from the beginning on, and from the end on."""
    most = min(len(old), len(new))
    before = next((n for n in range(most) if old[n] != new[n]), most)
    behind = next((n for n in range(most - before) if old[-1 - n] != new[-1 - n]), most - before)
    return before + behind


def _groups(old: Sequence[str], new: Sequence[str]) -> list[list[Line]]:
    most = min(len(old), len(new))
    skipped = max(next((n for n in range(most) if old[n] != new[n]), most) - AROUND, 0)
    kept = max(next((n for n in range(most - skipped) if old[-1 - n] != new[-1 - n]), most - skipped) - AROUND, 0)
    matcher = SequenceMatcher(None, old[skipped : len(old) - kept], new[skipped : len(new) - kept], autojunk=False)
    groups = []
    shown_until = 0
    for opcodes in matcher.get_grouped_opcodes(AROUND):
        if opcodes[0][0] == "equal" and len(opcodes) == 1:
            continue
        begins = skipped + opcodes[0][1]
        lines = [_left_out(begins - shown_until)] if begins > shown_until else []
        for tag, old_from, old_to, new_from, new_to in opcodes:
            if tag == "equal":
                lines += [Line(" ", text) for text in old[skipped + old_from : skipped + old_to]]
                continue
            lines += [Line("-", text) for text in old[skipped + old_from : skipped + old_to]]
            lines += [Line("+", text) for text in new[skipped + new_from : skipped + new_to]]
        shown_until = skipped + opcodes[-1][2]
        groups.append(lines)
    if groups and shown_until < len(old):
        groups.append([_left_out(len(old) - shown_until)])
    return groups


def _left_out(lines: int) -> Line:
    return Line("…", "1 line that stayed" if lines == 1 else f"{lines} lines that stayed")
