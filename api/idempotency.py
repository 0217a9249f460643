"""``Idempotency-Key``: the name that a client gives to a request, so that it can repeat it without doing it twice."""

import re
from hashlib import sha256
from typing import Final

from api.problems import INVALID_REQUEST, Problem
from api.request import Request
from jobplatform.journal import IdempotencyKey

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def read_key(req: Request, body: bytes, ttl: int) -> IdempotencyKey | None:
    """The key of a request with this body, to be remembered for ``ttl`` milliseconds. None: it has none.

    Two requests are equal when method, path and the bytes of the body are.

    Raises:
        Problem: the header is none (400).
    """
    key = req.get_header("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Problem(INVALID_REQUEST, "The header Idempotency-Key must be 1 to 255 visible ASCII characters.")
    fingerprint = sha256(f"{req.method} {req.path}\n".encode())
    fingerprint.update(body)
    return IdempotencyKey(req.who, key, fingerprint.hexdigest(), ttl)
