"""Ids for jobs: UUIDs of version 7, which begin with the time and so lie side by side in an index (RFC 9562)."""

import secrets
import time
import uuid


def new_job_id() -> str:
    """A new id. Later ones sort after earlier ones, to the millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76  # the version
    number = number & ~(0x3 << 62) | 0x2 << 62  # the variant
    return str(uuid.UUID(int=number))
