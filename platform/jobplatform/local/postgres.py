"""The embedded Postgres: a foreground child on a loopback port, with its data in one folder."""

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from signal import SIGINT
from typing import Final
from urllib.parse import quote

import psycopg2

from jobplatform.local.binaries import postgres_bin
from jobplatform.local.children import Child, ChildFailed
from jobplatform.local.unprivileged import hand_over, unprivileged

_USER: Final = "postgres"
_READY_SECONDS: Final = 60
_LOCALE: Final = "C" if sys.platform == "darwin" else "C.UTF-8"


class Postgres(Child):
    """One server; ``start`` after ``stop`` gives the same port and data."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        on_line: Callable[[str], None],
        options: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Describe the server; the folder is made on the first start.

        Args:
            folder: where its data and password are kept.
            options: settings of postgresql.conf.
        """
        self._home = folder.absolute()
        self._data = self._home / "data"
        self._bin = postgres_bin()
        self._port = port
        self._identity = unprivileged(self._home, self._bin)
        settings = (word for name, value in (options or {}).items() for word in ("-c", f"{name}={value}"))
        address = ("-h", "127.0.0.1", "-p", str(port), "-k", "")
        super().__init__(
            "postgres",
            (*self._identity.prefix, self._bin / "postgres", "-D", self._data, *address, *settings),
            on_line=on_line,
            folder=Path("/"),
            stop_signal=SIGINT,  # "fast": it ends the sessions; with SIGTERM it would wait for them
            user=self._identity.user,
            keep_open=keep_open,
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_USER}:{quote(self._password())}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ChildFailed: it ended or does not answer.
        """
        if not (self._data / "PG_VERSION").is_file():
            self._make_data()
        hand_over(self._home, self._identity)
        super().start()
        self.wait_until(self._answers, _READY_SECONDS)

    def create_database(self, name: str) -> None:
        """Create a database, if it is not there."""
        with closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{name}"')

    def _make_data(self) -> None:
        self._password()
        # Made beside its place and renamed into it: an interrupted initdb leaves nothing that looks like data.
        new = self._home / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        hand_over(self._home, self._identity)
        words = ("-D", new, "-U", _USER, "-A", "scram-sha-256", f"--pwfile={self._home / 'password'}")
        initdb = Child(
            "initdb",
            (*self._identity.prefix, self._bin / "initdb", *words, "-E", "UTF8", f"--locale={_LOCALE}"),
            on_line=lambda _: None,
            folder=Path("/"),
            user=self._identity.user,
        )
        initdb.start()
        if initdb.wait(_READY_SECONDS) != 0:
            raise ChildFailed(f"initdb could not make {new}: {initdb.last_line}")
        new.rename(self._data)

    def _password(self) -> str:
        # Whoever else uses this machine can reach a loopback port: hence a password at all.
        file = self._home / "password"
        if not file.exists():
            self._home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(12))
        return file.read_text()

    def _answers(self) -> bool:
        try:
            # Its own word first, as pg_ctl reads it: a connection that comes too early is a FATAL line in the log.
            if (self._data / "postmaster.pid").read_text().splitlines()[7].strip() != "ready":
                return False
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except (OSError, IndexError, psycopg2.OperationalError):
            return False
        return True
