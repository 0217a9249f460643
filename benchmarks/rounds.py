"""One round: a contender on a new stack does the workloads, one after the other."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks import workloads
from benchmarks.memory import peak_megabytes
from benchmarks.peers import unrecorded
from benchmarks.peers.peer import PEERS
from benchmarks.peers.stack import PeerStack
from benchmarks.stack import WARM_UP, PlatformStack, Stack, running_stack
from benchmarks.workloads import Measured

PLATFORM: Final = "platform"
#: By name, in the order in which they are done.
WORKLOADS: Final = ("accept", "drain", "end-to-end", "read", "pick-up")

#: A fast worker does hundreds between two looks at what is left.
_FEWEST_TO_DRAIN: Final = 1_500

#: So many worker processes drain most on two cores. End to end two do a tenth more, a fourth makes each job dearer.
_WORKER_PROCESSES: Final = 3

Some = Callable[[int], int]


def play(who: str, wanted: Collection[str], scale: float) -> dict[str, Measured]:
    """What was measured, by workload, with ``memory`` at the end of it.

    Args:
        who: the platform or a peer.
        scale: how many jobs, as a factor.
    """

    def some(count: int) -> int:
        return max(20, int(count * scale))

    peer = PEERS.get(who)
    of = partial(PlatformStack, processes=_WORKER_PROCESSES) if peer is None else partial(PeerStack, peer=peer)
    with running_stack(of) as (stack, connection):
        if peer is None or peer.api is not None:
            measured = _all(stack, connection, wanted, some)
        else:
            measured = _drain_alone(stack, connection, wanted, some)
        return {**measured, "memory": peak_megabytes(stack)}


def _all(stack: Stack, connection: Connection, wanted: Collection[str], some: Some) -> dict[str, Measured]:
    """What is not wanted is left out where nothing that is wanted needs it."""
    measured = {}
    workloads.accept(stack, connection, WARM_UP)
    if not {"accept", "drain"}.isdisjoint(wanted):
        measured["accept"] = workloads.accept(stack, connection, max(_FEWEST_TO_DRAIN, some(5_000)))
    if wanted != {"accept"}:
        measured["drain"] = workloads.drain(stack, connection)
    if "end-to-end" in wanted:
        measured["end-to-end"] = workloads.end_to_end(stack, connection, some(3_000))
    if "read" in wanted:
        workloads.read(stack, connection, WARM_UP)
        measured["read"] = workloads.read(stack, connection, some(10_000))
    if "pick-up" in wanted:
        measured["pick-up"] = workloads.pick_up(stack, connection, some(200))
    return {name: one for name, one in measured.items() if name in wanted}


def _drain_alone(stack: Stack, connection: Connection, wanted: Collection[str], some: Some) -> dict[str, Measured]:
    """Of a peer that has no API."""
    assert isinstance(stack, PeerStack)  # noqa: S101 - it is a peer's
    if "drain" not in wanted:
        return {}
    return {"drain": unrecorded.drain(stack, connection, _FEWEST_TO_DRAIN + some(5_000))}
