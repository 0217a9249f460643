"""What is done to the stack: each fault is a function that does it, waits if it lasts, and heals it."""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, Signals
from threading import Event
from typing import Final

from jobplatform.torture import bad_messages, sessions
from jobplatform.torture.crash_points import POINTS, points_folder
from jobplatform.torture.links import Link
from jobplatform.torture.oracle import CUT, Oracle
from jobplatform.torture.stack import Group, Stack


class Injury:
    """One fault at its moment: what it may use."""

    def __init__(self, stack: Stack, oracle: Oracle, chance: random.Random, over: Event, frozen_after: float) -> None:
        self.stack = stack
        self.oracle = oracle
        self.chance = chance
        self.frozen_after = frozen_after
        self._over = over

    def last(self, shortest: float, longest: float) -> None:
        """Let it last; a run that ends heals it at once."""
        self._over.wait(self.chance.uniform(shortest, longest))

    def group(self, *kinds: str) -> Group:
        return self.chance.choice(self.stack.of(*kinds))

    def child_of(self, *kinds: str) -> tuple[Group, int] | None:
        """A process that does the work of such a group."""
        running = [(group, pid) for group in self.stack.of(*kinds) for pid in group.children()]
        return self.chance.choice(running) if running else None

    def kill(self, kind: str, *pids: int) -> None:
        """SIGKILL, put on record before it happens: what dies must not be dead before it is known."""
        self.oracle.kill(kind, pids)
        for pid in pids:
            _signal(pid, SIGKILL)


def kill_worker(injury: Injury) -> None:
    if found := injury.child_of("worker"):
        injury.kill("worker process", found[1])


def kill_master(injury: Injury) -> None:
    group = injury.group("worker")
    if group.child.running:
        # Those that it leaves behind are asked to stop by the supervisor, and killed after the grace.
        injury.oracle.harm(
            "its master was killed", tuple(group.children()), time.time() + group.child.grace_seconds + 1
        )
        injury.kill("dramatiq master", group.child.pid)


def kill_group(injury: Injury) -> None:
    group = injury.group("worker")
    if group.child.running:
        injury.kill("worker process", *group.children())
        injury.kill("dramatiq master", group.child.pid)


def kill_api_worker(injury: Injury) -> None:
    if found := injury.child_of("api"):
        injury.kill("gunicorn worker", found[1])


def kill_api(injury: Injury) -> None:
    group = injury.group("api")
    if group.child.running:
        injury.kill("gunicorn worker", *group.children())
        injury.kill("gunicorn master", group.child.pid)


def kill_keeper(injury: Injury) -> None:
    if injury.stack.of("keeper"):
        group = injury.group("keeper")
        if group.child.running:
            injury.kill("keeper", group.child.pid)


def crash_point(injury: Injury) -> None:
    """Lay a trap that the first process to get there falls into; take it away if none does."""
    point = injury.chance.choice(sorted(POINTS))
    trap = points_folder(injury.stack.folder) / point
    trap.touch()
    injury.last(6, 6)
    trap.unlink(missing_ok=True)


def freeze(injury: Injury) -> None:
    _stop_and_continue(injury, injury.frozen_after + injury.chance.uniform(2, 4), "frozen")


def freeze_briefly(injury: Injury) -> None:
    _stop_and_continue(injury, injury.chance.uniform(1, injury.frozen_after * 0.6), "frozen briefly")


def freeze_keeper(injury: Injury) -> None:
    if injury.stack.of("keeper"):
        group = injury.group("keeper")
        _signal(group.child.pid, SIGSTOP)
        injury.last(2, 8)
        _signal(group.child.pid, SIGCONT)


def deploy(injury: Injury) -> None:
    """SIGTERM, as a deploy does. What does not end within the grace is killed, as a supervisor does."""
    group = injury.group("worker")
    if not group.child.running:
        return
    pid, pids = group.child.pid, group.children()
    injury.oracle.harm("deployed", tuple(pids), time.time() + group.child.grace_seconds + 2)
    _signal(pid, SIGTERM)
    deadline = time.monotonic() + group.child.grace_seconds
    while group.child.running and group.child.pid == pid and time.monotonic() < deadline:
        time.sleep(0.1)
    if group.child.running and group.child.pid == pid:
        injury.kill("worker process", *pids)
        injury.kill("dramatiq master", pid)


def flush(injury: Injury) -> None:
    with sessions.redis_client(injury.stack) as client:
        client.flushall()


def redis_restart(injury: Injury) -> None:
    _signal(injury.stack.valkey.pid, SIGTERM)


def redis_crash(injury: Injury) -> None:
    _signal(injury.stack.valkey.pid, SIGKILL)


def redis_wipe(injury: Injury) -> None:
    injury.stack.crew.keep_down(injury.stack.valkey, 1.0, injury.stack.wipe_redis)
    _signal(injury.stack.valkey.pid, SIGKILL)


def redis_away(injury: Injury) -> None:
    seconds = injury.chance.uniform(4, 10)
    injury.stack.crew.keep_down(injury.stack.valkey, seconds)
    _signal(injury.stack.valkey.pid, SIGTERM)
    injury.last(seconds, seconds)


def redis_refuses(injury: Injury) -> None:
    """Out of memory: it takes no writes."""
    with sessions.redis_client(injury.stack) as client:
        client.config_set("maxmemory", 1)
        injury.last(3, 6)
        client.config_set("maxmemory", 0)


def redis_hangs(injury: Injury) -> None:
    pid = injury.stack.valkey.pid
    _signal(pid, SIGSTOP)
    injury.last(2, 7)
    _signal(pid, SIGCONT)


def postgres_crash(injury: Injury) -> None:
    """A backend is killed: Postgres throws everybody out and recovers."""
    if pids := sessions.backends(injury.stack):
        _signal(injury.chance.choice(pids), SIGKILL)


def postgres_restart(injury: Injury) -> None:
    _signal(injury.stack.postgres.pid, SIGQUIT)


def postgres_away(injury: Injury) -> None:
    seconds = injury.chance.uniform(4, 8)
    injury.stack.crew.keep_down(injury.stack.postgres, seconds)
    _signal(injury.stack.postgres.pid, SIGQUIT)
    injury.last(seconds, seconds)


def terminate_backends(injury: Injury) -> None:
    pids = sessions.backends(injury.stack)
    injury.oracle.harm(CUT, tuple(pid for group in injury.stack.of("worker") for pid in group.processes()))
    sessions.terminate(injury.stack, injury.chance.sample(pids, min(len(pids), injury.chance.randint(1, 8))))


def cut(injury: Injury) -> None:
    group = injury.group("api", "worker", "keeper")
    link = injury.chance.choice(group.links)
    if link is group.postgres:
        injury.oracle.harm(CUT, tuple(group.processes()))
    link.cut()


def partition(injury: Injury) -> None:
    group = injury.group("api", "worker", "keeper")
    link = injury.chance.choice(group.links)
    _cut_off(injury, group, link)
    link.refuse()
    injury.last(2, 8)
    link.heal()


def stall(injury: Injury) -> None:
    group = injury.group("api", "worker", "keeper")
    link = injury.chance.choice(group.links)
    _cut_off(injury, group, link)
    link.stall()
    injury.last(2, 8)
    link.heal()


def half_open(injury: Injury) -> None:
    """The server takes its clients for gone, and they do not know."""
    group = injury.group("api", "worker", "keeper")
    link = injury.chance.choice(group.links)
    _cut_off(injury, group, link)
    link.lose_server_side()
    injury.last(2, 8)
    link.heal(reset=True)


def slow(injury: Injury) -> None:
    link = injury.chance.choice(injury.group("api", "worker", "keeper").links)
    link.slow_down(injury.chance.uniform(0.05, 0.5))
    injury.last(3, 6)
    link.heal()


def bad_hints(injury: Injury) -> None:
    with sessions.redis_client(injury.stack) as client:
        bad_messages.push(client, injury.chance, sorted(injury.oracle.accepted))


#: By the names that `--faults` takes.
FAULTS: Final[dict[str, Callable[[Injury], None]]] = {
    "kill-worker": kill_worker,
    "kill-master": kill_master,
    "kill-group": kill_group,
    "kill-api-worker": kill_api_worker,
    "kill-api": kill_api,
    "kill-keeper": kill_keeper,
    "crash-point": crash_point,
    "freeze": freeze,
    "freeze-briefly": freeze_briefly,
    "freeze-keeper": freeze_keeper,
    "deploy": deploy,
    "flush": flush,
    "redis-restart": redis_restart,
    "redis-crash": redis_crash,
    "redis-wipe": redis_wipe,
    "redis-away": redis_away,
    "redis-refuses": redis_refuses,
    "redis-hangs": redis_hangs,
    "postgres-crash": postgres_crash,
    "postgres-restart": postgres_restart,
    "postgres-away": postgres_away,
    "terminate-backends": terminate_backends,
    "cut": cut,
    "partition": partition,
    "stall": stall,
    "half-open": half_open,
    "slow": slow,
    "bad-hints": bad_hints,
}


def _stop_and_continue(injury: Injury, seconds: float, what: str) -> None:
    if not (found := injury.child_of("worker")):
        return
    _, pid = found
    injury.oracle.harm(what, (pid,), time.time() + seconds)
    _signal(pid, SIGSTOP)
    injury.last(seconds, seconds)
    _signal(pid, SIGCONT)


def _cut_off(injury: Injury, group: Group, link: Link) -> None:
    """While it lasts, and for the way back, the group's processes may be unable to show that they live."""
    if link is group.postgres:
        injury.oracle.harm("cut off", tuple(group.processes()), time.time() + 12)


def _signal(pid: int, number: Signals) -> None:
    with suppress(ProcessLookupError):  # it was quicker
        os.kill(pid, number)
