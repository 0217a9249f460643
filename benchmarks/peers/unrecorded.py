"""Draining a queue of which nobody keeps a record: what is left is what Redis still holds."""

import time
from contextlib import closing
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.meter import Meter
from benchmarks.peers.stack import PeerStack
from benchmarks.workloads import FEWEST, PATIENCE, JobsLost, Measured, TooFewJobs, costs

_LOOK_EVERY: Final = 0.01
#: Where Dramatiq keeps the messages of its queue until they are acknowledged.
_MESSAGES: Final = "dramatiq:default.msgs"


def drain(stack: PeerStack, connection: Connection, count: int) -> Measured:
    """Send so many jobs, and have them done. The worker's start does not count, nor what it does meanwhile."""
    stack.send(count)
    with closing(stack.redis()) as client:
        stack.start_worker(connection)
        meter = Meter(stack, connection)
        began = time.monotonic()
        waiting = int(client.hlen(_MESSAGES))
        left, since = waiting, began
        while now := int(client.hlen(_MESSAGES)):
            if now < left:
                left, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                raise JobsLost()
            time.sleep(_LOOK_EVERY)
        elapsed = time.monotonic() - began
    bill = meter.bill()
    if waiting < FEWEST:
        raise TooFewJobs()
    return {"rate": waiting / elapsed, "jobs": waiting, **costs(bill.per(waiting), bill)}
