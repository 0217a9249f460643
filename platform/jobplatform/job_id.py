"""Ids for jobs: UUIDs of version 7, which begin with the time and so lie side by side in an index (RFC 9562)."""

import os
import time


def new_job_id() -> str:
    """A new id. Later ones sort after earlier ones, to the millisecond."""
    at = f"{time.time_ns() // 1_000_000 & 2**48 - 1:012x}"
    chance = os.urandom(10).hex()
    variant = "89ab"[int(chance[3], 16) & 3]
    return f"{at[:8]}-{at[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[8:]}"
