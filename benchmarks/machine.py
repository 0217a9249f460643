"""What was measured with: the machine, and the versions of everything that took part."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.installing import node_version
from benchmarks.peers.peer import NODE_FOLDER, PYTHON, Peer
from jobplatform.local.binaries import postgres_bin, valkey_server

_OURS: Final = ("dramatiq", "falcon", "gunicorn", "msgspec", "peewee", "psycopg2-binary", "redis")
_PYTHON_PEERS: Final = ("celery", "fastapi", "uvicorn", "psycopg", "dramatiq", "falcon", "gunicorn", "peewee")


def machine(peers: Iterable[Peer]) -> dict[str, Any]:
    """In words and numbers that can be put beside figures."""
    peers = list(peers)
    told: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "postgres": _said(postgres_bin() / "postgres", "--version"),
        "redis": _said(valkey_server(), "--version"),
        "wrk": _said("wrk", "-v").partition(" Copyright")[0],
        "python": platform.python_version(),
        "platform": {name: version(name) for name in _OURS},
    }
    if any(not peer.needs_node for peer in peers):
        ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {_PYTHON_PEERS!r}}}))"
        told["python peers"] = json.loads(_said(PYTHON, "-c", ask))
    if any(peer.needs_node for peer in peers):
        pinned = json.loads((NODE_FOLDER / "package.json").read_text())["dependencies"]
        told["node peers"] = {"node": node_version(), **pinned}
    return told


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _said(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - all of them are ours
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""
