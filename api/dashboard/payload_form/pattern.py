"""Patterns of a schema as browsers take them: anchored at both ends, in the strict dialect of the ``v`` flag."""

import re
from typing import Final

#: What a browser would read in another way than the check does, or not at all, is left to the check.
_PIECE: Final = re.compile(
    r"""
      (?P<escape>  \\(?: [dDsSrntfv] | x[0-9a-fA-F]{2} | u[0-9a-fA-F]{4} | [^a-zA-Z0-9] ) )
    | (?P<class>   \[\^?(?: \\. | [^\]\\] )+\] )
    | (?P<group>   \((?: \?[:=!] )? (?!\?) | \) )
    | (?P<count>   \{[0-9]+(?: ,[0-9]* )?\} )
    | (?P<sign>    [.^$*+?|] )
    | (?P<text>    [^\\\[\](){}.^$*+?|] )
    """,
    re.VERBOSE,
)
_OF_CLASS: Final = re.compile(r"\\(?:[dDsSrntfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^a-zA-Z0-9])|[^\\]")
#: These are signs in a pattern, or in a class of one, and stand for themselves only behind a backslash.
_SIGNS: Final = frozenset(r"^$\.*+?()[]{}|/")
_SIGNS_OF_CLASS: Final = frozenset(r"()[]{}/|\^")
#: Twice in a row they would mean something in a class.
_DOUBLE: Final = re.compile(r"([&!#$%*+,.:;<=>?@^`~])\1")


def html_pattern(pattern: str) -> str | None:
    """The value of an input's ``pattern``; None where a browser may see it differently."""
    written, at = "", 0
    while at < len(pattern):
        piece = _PIECE.match(pattern, at)
        if piece is None:
            return None
        made = _class(piece[0]) if piece["class"] else _escape(piece[0], _SIGNS) if piece["escape"] else piece[0]
        if made is None:
            return None
        written, at = written + made.replace("/", r"\/") if piece["text"] else written + made, piece.end()
    # Where a schema's pattern has no anchor it may fit anywhere.
    return rf"[\s\S]*(?:{written})[\s\S]*"


def _class(text: str) -> str | None:
    negated = text.startswith("[^")
    inner = text[2 if negated else 1 : -1]
    if _DOUBLE.search(inner):
        return None
    written, at = "", 0
    while at < len(inner):
        piece = _OF_CLASS.match(inner, at)
        if piece is None:
            return None
        one, at = piece[0], piece.end()
        if one.startswith("\\"):
            written += _escape(one, _SIGNS_OF_CLASS | {"-"})
        elif one == "-" and (at == 1 or at == len(inner)):
            written += r"\-"  # not between two characters: itself
        else:
            written += f"\\{one}" if one in _SIGNS_OF_CLASS else one
    return f"[{'^' if negated else ''}{written}]"


def _escape(text: str, signs: frozenset[str]) -> str:
    """An escape, without its backslash where a browser would not have it."""
    return text if text[1].isalnum() or text[1] in signs else text[1:]
