"""Secrets that all processes of a deployment share, and that outlive each of them."""

import secrets
from typing import Final

from jobplatform.models import Secret

_BYTES: Final = 32


def secret(name: str) -> bytes:
    """The secret of this name; whoever asks first makes it."""
    own = Secret.select(Secret.value).where(Secret.name == name)
    if (value := own.scalar()) is None:
        Secret.insert(name=name, value=secrets.token_hex(_BYTES)).on_conflict_ignore().execute()
        value = own.clone().scalar()
    return bytes.fromhex(value)
