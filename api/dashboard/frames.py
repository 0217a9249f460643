"""A traceback, folded to the frames that are one's own: those of the actor, not of what stands below it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

_FRAME: Final = re.compile(r'^  File "(?P<path>.*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$')
#: What belongs to a frame: its source, and the marks below it.
_OF_FRAME: Final = re.compile(r"^(?:    |  \[Previous line repeated )")
#: Where code lies that nobody here has written: installed packages, Python itself, and this platform.
_FOREIGN: Final = re.compile(
    r"^<|[/\\](?:site-packages|dist-packages|platform[/\\]jobplatform)[/\\]|[/\\]lib(?:64)?[/\\]python\d[^/\\]*[/\\]"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: where it stood, and the lines that show it."""

    path: str
    line: int
    name: str | None
    lines: Sequence[str]

    @property
    def own(self) -> bool:
        """Whether it is of one's own code."""
        return not _FOREIGN.search(self.path)

    @property
    def text(self) -> str:
        """Its lines."""
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a traceback that belong together: frames, all own or all foreign; or, without frames, words."""

    frames: Sequence[Frame]
    lines: Sequence[str]
    #: Whether it is to be shown only to who asks.
    folded: bool = False

    @property
    def text(self) -> str:
        """Its lines."""
        return "\n".join(self.lines)


def folded(traceback: str) -> list[Part]:
    """The parts of a traceback in order. Where no frame is one's own, none is folded."""
    found = list(_frames(traceback.rstrip("\n").split("\n")))
    any_own = any(isinstance(one, Frame) and one.own for one in found)
    parts = []
    for of_frames, group in groupby(found, key=lambda one: one.own if isinstance(one, Frame) else None):
        members = list(group)
        frames = [one for one in members if isinstance(one, Frame)]
        lines = [line for one in members for line in (one.lines if isinstance(one, Frame) else (one,))]
        parts.append(Part(frames, lines, folded=any_own and of_frames is False))
    return parts


def _frames(lines: Sequence[str]) -> Iterator[Frame | str]:
    at = 0
    while at < len(lines):
        match = _FRAME.match(lines[at])
        if match is None:
            yield lines[at]
            at += 1
            continue
        end = at + 1
        while end < len(lines) and _OF_FRAME.match(lines[end]):
            end += 1
        yield Frame(match["path"], int(match["line"]), match["name"], lines[at:end])
        at = end
