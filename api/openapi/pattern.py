"""Regular expressions: a signature's are Python's, those of JSON Schema are ECMAScript's."""

import re
from typing import Final

#: What Python calls a space, beside what ECMAScript does.
_SPACES: Final = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: The end of the text, in a way that Python reads in the same way in the middle of a line.
_END: Final = r"(?![\s\S])"
_PIECE: Final = re.compile(r"\\.|\[|\]|[^\\\[\]]+", re.DOTALL)


def in_ecmascript(pattern: str) -> str:
    """The same expression for ECMAScript, whose ``$`` is the end alone, and whose spaces are other ones."""
    told = ""
    within = False
    for piece in _PIECE.findall(pattern.replace(_END, "$")):
        if piece in ("[", "]"):
            within = piece == "["
        if piece == r"\s":
            told += _SPACES if within else f"[{_SPACES}]"
        else:
            told += piece
    return told
