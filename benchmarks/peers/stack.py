"""A peer as a stack: its own API and worker on the same Postgres and Valkey."""

from contextlib import closing
from pathlib import Path
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.peers.peer import HERE, Peer, Words
from benchmarks.stack import GRACE_SECONDS, Stack
from jobplatform.local.children import Child, ChildFailed

_TABLES: Final = HERE / "jobs.sql"
_SEND_SECONDS: Final = 300


class PeerStack(Stack):
    """A peer's table has what the workloads look at: id, status and finished_at of each job."""

    def __init__(self, folder: Path, peer: Peer) -> None:
        super().__init__(folder)
        self._peer = peer
        self._ready_said = 0

    def send(self, count: int) -> None:
        """Have a peer without an API put so many jobs into its queue."""
        sender = self._child("sender", (*self._peer.worker[:1], "tasks.py", str(count)))
        try:
            sender.start()
            if sender.wait(_SEND_SECONDS) != 0:
                raise ChildFailed(f"{self._peer.name} cannot send: {sender.last_line}")
        finally:
            sender.kill()

    def _make_tables(self) -> None:
        if self._peer.api is not None:
            with closing(self.connect()) as connection, connection.cursor() as cursor:
                cursor.execute(_TABLES.read_text())

    def _api(self) -> Child | None:
        return None if self._peer.api is None else self._child("api", self._peer.api)

    def _worker(self) -> Child:
        self._ready_said = 0
        return self._child("worker", self._peer.worker)

    def _worker_is_ready(self, _: Connection) -> bool:
        return self._ready_said >= self._peer.ready[1]

    def _is_warm(self, connection: Connection) -> bool:
        return self._peer.api is None or super()._is_warm(connection)

    def _child(self, name: str, words: Words) -> Child:
        return Child(
            f"{self._peer.name}'s {name}",
            [str(word).format(port=self.port) for word in words],
            on_line=self._hear,
            environment=self._peer.environment(self.postgres.url("benchmark"), self.valkey.url, self.port),
            folder=self._peer.folder,
            grace_seconds=GRACE_SECONDS,
        )

    def _hear(self, line: str) -> None:
        self._ready_said += self._peer.ready[0] in line
        self._said.append(line)
