"""The peers: what each is made of, and how its API and its worker are started.

Each runs with two processes of the API and two of the worker, and with the concurrency that its makers advise. Where
they leave it open, it is what served the peer best.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PYTHON: Final = HERE / ".venv" / "bin" / "python"
NODE_FOLDER: Final = HERE / "bullmq"

Words = tuple[str | Path, ...]


@dataclass(frozen=True)
class Peer:
    """A way to do the same work. Its programs are in the folder of its name."""

    name: str
    #: What it is made of.
    title: str
    #: With ``{port}`` where that is to be. None: it has none, and nothing is written down.
    api: Words | None
    worker: Words
    #: What its worker says when it is ready, and how often: once for each process that says so.
    ready: tuple[str, int]
    variables: Mapping[str, str] = field(default_factory=dict)
    needs_node: bool = False

    @property
    def folder(self) -> Path:
        return HERE / self.name

    def environment(self, database_url: str, redis_url: str, port: int) -> dict[str, str]:
        """What its programs find in their environment: of this process's own only what any program needs."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(port),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.variables,
        }


_THREADS: Final = ("--threads", "16")
_DRAMATIQ_READY: Final = ("Worker process is ready for action", 2)

PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(
            "bullmq",
            "Express + BullMQ + pg",
            api=("node", "api.js"),
            worker=("node", "worker.js"),
            ready=("worker ready", 2),
            variables={"NODE_ENV": "production"},
            needs_node=True,
        ),
        Peer(
            "celery",
            "Celery + FastAPI",
            api=(PYTHON, "-m", "uvicorn", "api:app", "--port", "{port}", "--workers", "2", "--no-access-log"),
            # Each of its processes does one job at a time, so there are more of them.
            worker=(PYTHON, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "4", "--loglevel", "WARNING"),
            ready=("worker ready", 1),
        ),
        Peer(
            "dramatiq",
            "naive Dramatiq + Falcon + peewee",
            api=(PYTHON, "-m", "gunicorn", "api:app", "-b", "127.0.0.1:{port}", "-k", "gthread", "-w", "2", *_THREADS),
            worker=(PYTHON, "-m", "dramatiq", "tasks", "--processes", "2", "--threads", "8"),
            ready=_DRAMATIQ_READY,
        ),
        Peer(
            "bare",
            "Dramatiq alone, no record",
            api=None,
            worker=(PYTHON, "-m", "dramatiq", "tasks", "--processes", "2", "--threads", "8"),
            ready=_DRAMATIQ_READY,
        ),
    )
}
