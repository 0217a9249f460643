"""Who shows which key, and what it is good for. Compared in constant time."""

from collections.abc import Sequence
from hmac import compare_digest
from typing import Final

from jobplatform.api_key import ApiKey, digest_of

#: Methods that only look.
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_SUBMITTING: Final = frozenset({"/jobs", "/jobs/batch"})
_OPEN: Final = frozenset({"/health", "/ready", "/docs"})
_OPEN_BELOW: Final = ("/docs/", "/problems/", "/ui/static/")
#: Pages that need another scope than what they show or do would say.
_SIGN_IN: Final = "/ui/sign-in"
_SIGN_OUT: Final = "/ui/sign-out"
_SUBMITTING_BELOW: Final = "/ui/types/"


class Keys:
    """The keys that let somebody in."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(key.digest, key) for key in keys]

    def find(self, authorization: bytes) -> ApiKey | None:
        """The key that an ``Authorization`` header shows, if it is one of ours.

        All keys are looked at, whichever fits: how long it takes says nothing.
        """
        scheme, _, shown = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest = digest_of(shown.strip())
        found = None
        for known, key in self._keys:
            if compare_digest(known, digest):
                found = key
        return found


def scope_for(method: str, path: str) -> str | None:
    """The scope that a request needs; None if anybody may send it."""
    if path in _OPEN or path == _SIGN_IN or path.startswith(_OPEN_BELOW):
        return None
    if method in SAFE or path == _SIGN_OUT:
        return "read"
    submits = path in _SUBMITTING or path.startswith(_SUBMITTING_BELOW)
    return "submit" if submits and method == "POST" else "operate"


def is_page(path: str) -> bool:
    """Whether a path is one of the dashboard's, which people see and sign in to."""
    return path == "/" or path.startswith("/ui/")
