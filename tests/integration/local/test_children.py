"""Children on their leash, and the supervisor that looks after them."""

import os
import sys
from pathlib import Path
from signal import SIGKILL
from threading import Thread

import pytest

from jobplatform.local.children import Child, ChildFailed
from jobplatform.local.supervisor import Interrupted, Supervisor
from tests.services.patience import eventually
from tests.services.processes import Processes

_PARENT = """
import sys, time
from jobplatform.local.children import Child
child = Child("sleeper", ("sleep", "60"), on_line=print)
child.start()
print("child", child.pid, flush=True)
time.sleep(60)
"""
_PARENT_WITHOUT_HELP_OF_THE_KERNEL = """
import os, subprocess, sys, time
watch = '''
import sys
from jobplatform.local import leash
leash._signal_on_death_of_parent = lambda number: False
sys.exit(leash.main(sys.argv[1:]))
'''
subprocess.Popen((sys.executable, "-c", watch, "15", str(os.getpid()), "sh", "-c", "echo child; exec sleep 60"))
time.sleep(60)
"""


@pytest.mark.parametrize("program", [_PARENT, _PARENT_WITHOUT_HELP_OF_THE_KERNEL], ids=["prctl", "watch"])
def test_a_child_ends_when_its_parent_is_killed(processes: Processes, program: str) -> None:
    parent = processes.start(sys.executable, "-c", program)
    parent.wait_for("child")

    os.kill(parent.pid, SIGKILL)

    assert eventually(lambda: not processes.left(), seconds=5)


def test_a_child_that_does_not_stop_is_killed_with_all_its_group_after_the_grace() -> None:
    lines: list[str] = []
    stubborn = "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"
    child = Child("stubborn", ("sh", "-c", stubborn), on_line=lines.append, grace_seconds=0.2)
    child.start()
    eventually(lambda: lines)

    child.stop()

    assert child.gone
    assert child.ending == "killed by SIGKILL"


def test_whom_a_killed_child_left_behind_is_asked_to_stop() -> None:
    lines: list[str] = []
    orphan = "trap 'echo asked; exit' TERM; echo ready; while :; do sleep 0.05; done"
    child = Child("parent", ("sh", "-c", f'sh -c "{orphan}" & wait'), on_line=lines.append)
    child.start()
    eventually(lambda: lines == ["ready"])
    os.kill(child.pid, SIGKILL)
    eventually(lambda: not child.running)

    child.stop()

    assert child.gone
    assert lines[-1] == "asked"


def test_a_child_that_ends_as_it_starts_says_why() -> None:
    child = Child("hasty", ("sh", "-c", "echo no such luck; exit 3"), on_line=lambda _: None)
    child.start()

    with pytest.raises(ChildFailed, match="hasty ended as it started: no such luck"):
        child.wait_until(lambda: False, seconds=10)


def test_a_command_that_is_not_there_is_one_line() -> None:
    lines: list[str] = []
    child = Child("missing", ("/nowhere/to/be/found",), on_line=lines.append)
    child.start()

    assert child.wait(5) == 127
    assert lines == ["/nowhere/to/be/found: No such file or directory"]


def test_the_supervisor_starts_a_dead_child_again_and_stops_all_in_reverse(tmp_path: Path) -> None:
    said: list[str] = []
    ended = tmp_path / "ended"
    supervisor = Supervisor(said.append)
    children = [_writes_its_name_at_the_end(name, ended) for name in ("bottom", "top")]
    for child in children:
        supervisor.start(child)
    assert eventually(lambda: all(child.last_line == "ready" for child in children))
    first = children[0].pid

    def disturb() -> None:
        os.kill(first, SIGKILL)
        eventually(lambda: children[0].running and children[0].pid != first and children[0].last_line == "ready")
        supervisor.ask_to_stop()

    disturber = Thread(target=disturb)
    disturber.start()
    supervisor.watch()
    disturber.join()
    supervisor.stop()

    assert said == ["bottom ended by itself (killed by SIGKILL): it is started again in 0.5 s", "stopping"]
    assert ended.read_text().split() == ["top", "bottom"]
    assert all(child.gone for child in children)


def test_the_supervisor_starts_nothing_more_once_it_is_asked_to_stop() -> None:
    supervisor = Supervisor(lambda _: None)
    child = Child("late", ("sleep", "60"), on_line=lambda _: None)
    supervisor.ask_to_stop()

    with pytest.raises(Interrupted):
        supervisor.start(child)

    assert not child.running


def _writes_its_name_at_the_end(name: str, file: Path) -> Child:
    script = f"trap 'echo {name} >> {file}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    return Child(name, ("sh", "-c", script), on_line=lambda _: None)
