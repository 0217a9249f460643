"""Installs what the peers are made of into folders of their own: nothing of it is the project's."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers.peer import HERE, NODE_FOLDER, PYTHON, Peer
from jobplatform.errors import PlatformError

_OLDEST_NODE: Final = 20
_REQUIREMENTS: Final = HERE / "requirements.txt"
_NODE_LOCK: Final = NODE_FOLDER / "package-lock.json"
_VENV: Final = HERE / ".venv"
_NODE_MODULES: Final = NODE_FOLDER / "node_modules"


class PeerMissing(PlatformError):
    """What a peer is made of is not there, and cannot be installed."""


def install(peers: Iterable[Peer]) -> None:
    """Install what is missing of these, as pinned.

    Raises:
        PeerMissing: it cannot be had; one line says why, and how to do without.
    """
    peers = list(peers)
    if any(not peer.needs_node for peer in peers):
        _install_python()
    if any(peer.needs_node for peer in peers):
        _install_node()


def _install_python() -> None:
    if _is_installed(_VENV, _REQUIREMENTS):
        return
    _say(f"Installing the peers' packages into {_short(_VENV)}.")
    advice = "or leave these peers out (--peers bullmq)"
    _run((sys.executable, "-m", "venv", "--clear", _VENV), f"cannot make {_short(_VENV)}: see to that, {advice}")
    words = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    _run((*words, "-r", _REQUIREMENTS), f"pip cannot install {_short(_REQUIREMENTS)}: see to that, {advice}")
    _mark(_VENV, _REQUIREMENTS)


def _install_node() -> None:
    advice = "or leave bullmq out (--peers celery,dramatiq,bare)"
    if (version := node_version()) is None or int(version.partition(".")[0]) < _OLDEST_NODE:
        found = "is not there" if version is None else f"is {version}"
        raise PeerMissing(f"bullmq needs Node {_OLDEST_NODE} or newer, and node {found}: install it, {advice}.")
    if _is_installed(_NODE_MODULES, _NODE_LOCK):
        return
    if shutil.which("npm") is None:
        raise PeerMissing(f"bullmq's packages are installed with npm, which is not there: install it, {advice}.")
    _say(f"Installing bullmq's packages into {_short(_NODE_MODULES)}.")
    words = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", NODE_FOLDER)
    _run(words, f"npm cannot install {_short(_NODE_LOCK)}: see to that, {advice}")
    _mark(_NODE_MODULES, _NODE_LOCK)


def node_version() -> str | None:
    """Which Node there is, such as ``20.20.2``. None: there is none."""
    if shutil.which("node") is None:
        return None
    answer = subprocess.run(("node", "--version"), capture_output=True, text=True, check=False)  # noqa: S607
    return answer.stdout.strip().removeprefix("v") or None


def _is_installed(folder: Path, pins: Path) -> bool:
    mark = folder / "installed"
    return mark.is_file() and mark.read_text() == _digest(folder, pins)


def _mark(folder: Path, pins: Path) -> None:
    (folder / "installed").write_text(_digest(folder, pins))


def _digest(folder: Path, pins: Path) -> str:
    # With its place: an environment of Python that was moved still means the old one.
    return hashlib.sha256(f"{folder}\n".encode() + pins.read_bytes()).hexdigest()


def _run(words: Sequence[str | Path], trouble: str) -> None:
    done = subprocess.run(words, stdout=sys.stderr, check=False)  # noqa: S603 - all of them are ours
    if done.returncode != 0:
        raise PeerMissing(f"{trouble}.")


def _short(path: Path) -> Path:
    return path.relative_to(HERE.parents[1])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
