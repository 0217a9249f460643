"""Keys of the API: what ``API_KEYS`` holds of them, and how a new one is made. The key itself is kept nowhere."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

#: What a key may be for, and what that lets its holder do.
SCOPES: Final = MappingProxyType(
    {
        "submit": "submit jobs, one by one and in batches",
        "read": "see jobs and all else that the platform shows, payloads, results and files included",
        "operate": "cancel and retry jobs, one by one and by a filter; pause and resume queues",
    }
)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
#: Transitions say this where nobody showed a key.
_RESERVED: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Whose key it is, what for, and the SHA-256 of the key."""

    name: str
    scopes: frozenset[str]
    digest: bytes

    def __str__(self) -> str:
        """Write it as an entry of ``API_KEYS``."""
        scopes = "+".join(scope for scope in SCOPES if scope in self.scopes)
        return f"{self.name}:{scopes}:{self.digest.hex()}"


def digest_of(key: bytes) -> bytes:
    """What is compared: the SHA-256 of a key. Keys are long and random, so a slow hash would add nothing."""
    return hashlib.sha256(key).digest()


def new_key(name: str, scopes: str) -> tuple[str, ApiKey]:
    """Make a key of 256 random bits for a name and its scopes (``read+submit``): the key, and what to keep of it.

    Raises:
        ValueError: the name or the scopes cannot be.
    """
    key = f"jp_{secrets.token_urlsafe(32)}"
    return key, _entry(f"{name}:{scopes.replace(',', '+')}:{digest_of(key.encode()).hex()}")


def parse_api_keys(value: str) -> tuple[ApiKey, ...]:
    """Read ``name:scope+scope:sha256hex`` entries that commas separate. One name may have several keys.

    Raises:
        ValueError: which entry is wrong, and why. It never repeats what may be a key.
    """
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    keys = []
    for number, entry in enumerate(entries, 1):
        try:
            keys.append(_entry(entry))
        except ValueError as error:
            raise ValueError(f"must be name:scope+scope:sha256 of each key: entry {number} {error}") from None
    if not keys:
        raise ValueError("must be name:scope+scope:sha256 of each key: it has no entry")
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("must be name:scope+scope:sha256 of each key: two entries have the same key")
    return tuple(keys)


def _entry(text: str) -> ApiKey:
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError("has not three parts with colons between them")
    name, scopes, digest = (part.strip() for part in parts)
    if not _NAME.fullmatch(name) or name == _RESERVED:
        raise ValueError(f"has a name that is not 1 to 64 letters, digits or . _ @ -, or is {_RESERVED}")
    given = frozenset(scopes.split("+"))
    if not given <= frozenset(SCOPES):
        raise ValueError(f"({name}) has scopes other than {', '.join(SCOPES)}, with + between them")
    if not _DIGEST.fullmatch(digest.lower()):
        raise ValueError(f"({name}) does not end with the 64 hexadecimal digits of a SHA-256")
    return ApiKey(name, given, bytes.fromhex(digest))
