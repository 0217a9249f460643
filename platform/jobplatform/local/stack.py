"""The whole platform on this machine, from Postgres up to the worker: what ``python -m jobplatform up`` runs."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, signal
from typing import Final

from jobplatform.local.calls import base_url, call
from jobplatform.local.children import Child
from jobplatform.local.folder import LocalFolder
from jobplatform.local.log import Log
from jobplatform.local.mail import MailCatcher
from jobplatform.local.ports import claim
from jobplatform.local.postgres import Postgres
from jobplatform.local.supervisor import Interrupted, Supervisor
from jobplatform.local.valkey import Valkey
from jobplatform.migrate import migrate
from jobplatform.settings import Settings

_READY_SECONDS: Final = 60
_POSTGRES_OPTIONS: Final = {"log_line_prefix": "", "log_checkpoints": "off", "max_connections": "200"}
_WORKER: Final = (
    *("dramatiq", "jobplatform.worker", "--processes", "2", "--threads", "32"),
    *("--worker-shutdown-timeout", "10000"),
)
#: Milliseconds. A laptop's Ctrl-C is not to wait half a minute for a job that will run again.
_SHUTDOWN_GRACE: Final = 7_000
#: gunicorn gives its requests ten seconds, as the worker its jobs, whose outcomes are then written.
_API_GRACE_SECONDS: Final = 13.0
_WORKER_GRACE_SECONDS: Final = 20.0
_EXAMPLE: Final = '{"type": "CSV_EXPORT", "payload": {"data": [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]}}'


def up(settings: Settings, log: Log) -> None:
    """Run the platform until SIGINT, SIGTERM or SIGHUP; leaves nothing behind.

    What DATABASE_URL, REDIS_URL and SMTP_URL name is used instead of servers of its own.

    Raises:
        PlatformError: it cannot start.
    """
    say = log.of("up")
    supervisor = Supervisor(say)
    for number in (SIGINT, SIGTERM, SIGHUP):  # only noted: make passes a Ctrl-C on, so it may come twice
        signal(number, lambda *_: supervisor.ask_to_stop())
    folder = LocalFolder(Path(".local"))
    folder.hold(say)
    stack = _Stack(settings, log, folder, supervisor)
    try:
        stack.start()
        supervisor.watch()
    except Interrupted:
        pass
    finally:
        supervisor.stop()
        folder.release()
    say(f"stopped; the data stays in .local/{', the caught mails do not' if stack.catches_mail else ''}")


class _Stack:
    """One start of everything."""

    def __init__(self, settings: Settings, log: Log, folder: LocalFolder, supervisor: Supervisor) -> None:
        self._settings = settings
        self._log = log
        self._folder = folder
        self._supervisor = supervisor
        self._api_url = base_url(settings.host, settings.port)
        self._addresses: dict[str, str] = {"api": self._api_url}

    def start(self) -> None:
        self._probe_ports()
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self._database_url(),
            "REDIS_URL": self._redis_url(),
            "SMTP_URL": self._smtp_url(),
        }
        migrate(environment["DATABASE_URL"])
        api = self._program("api", ("gunicorn", *_gunicorn_config()), environment, _API_GRACE_SECONDS)
        self._supervisor.start(api)
        grace = str(min(self._settings.shutdown_grace, _SHUTDOWN_GRACE))
        worker = {**environment, "SHUTDOWN_GRACE": grace}
        self._supervisor.start(self._program("worker", _WORKER, worker, _WORKER_GRACE_SECONDS))
        api.wait_until(self._ready, _READY_SECONDS)
        if self._supervisor.stopping:
            raise Interrupted
        self._folder.announce(self._addresses)
        self._log.plain(welcome(self._addresses, self._settings))

    @property
    def catches_mail(self) -> bool:
        return self._settings.smtp_url == Settings.smtp_url and MailCatcher.installed()

    def _probe_ports(self) -> None:
        chosen = self._settings
        claim(chosen.port, chosen.host, "the API", "PORT")
        if self.catches_mail:
            claim(chosen.mail_port, "127.0.0.1", "the mail catcher", "MAIL_PORT")
            claim(chosen.mail_page_port, "127.0.0.1", "the mail page", "MAIL_PAGE_PORT")

    def _database_url(self) -> str:
        if self._settings.database_url:
            return self._settings.database_url
        server = Postgres(
            self._folder.path / "postgres",
            self._folder.port("postgres"),
            on_line=self._log.of("postgres"),
            options=_POSTGRES_OPTIONS,
            keep_open=(self._folder.children_lock,),
        )
        self._supervisor.start(server)
        server.create_database("jobplatform")
        self._addresses["database"] = server.url("jobplatform")
        return self._addresses["database"]

    def _redis_url(self) -> str:
        if self._settings.redis_url:
            return self._settings.redis_url
        server = Valkey(
            self._folder.path / "valkey",
            self._folder.port("valkey"),
            on_line=self._log.of("valkey"),
            keep_open=(self._folder.children_lock,),
        )
        self._supervisor.start(server)
        self._addresses["redis"] = server.url
        return server.url

    def _smtp_url(self) -> str:
        if not self.catches_mail:
            if not MailCatcher.installed():
                self._log.of("up")(f"no mail catcher is installed here: mail goes to {self._settings.smtp_url}")
            return self._settings.smtp_url
        self._supervisor.start(
            MailCatcher(
                self._settings.mail_port,
                self._settings.mail_page_port,
                on_line=self._log.of("mail"),
                keep_open=(self._folder.children_lock,),
            )
        )
        self._addresses["mail"] = f"http://127.0.0.1:{self._settings.mail_page_port}"
        return f"smtp://127.0.0.1:{self._settings.mail_port}"

    def _program(self, name: str, words: tuple[str, ...], environment: dict[str, str], grace_seconds: float) -> Child:
        return Child(
            name,
            (sys.executable, "-m", *words),
            on_line=self._log.of(name),
            environment=environment,
            grace_seconds=grace_seconds,
            keep_open=(self._folder.children_lock,),
        )

    def _ready(self) -> bool:
        answer = None if self._supervisor.stopping else call("GET", f"{self._api_url}/ready")
        return self._supervisor.stopping or (answer is not None and answer.status == 200)


def _gunicorn_config() -> tuple[str, ...]:
    """Where gunicorn finds its file, if not in the working folder: in the checkout that this module is from."""
    file = Path(__file__).parents[3] / "gunicorn.conf.py"
    return () if Path("gunicorn.conf.py").is_file() else ("--config", str(file))


def welcome(addresses: Mapping[str, str], settings: Settings) -> str:
    """Where everything is, and how to submit a first job."""
    addresses = {**addresses, "dashboard": f"{addresses['api']}/"}
    labels = {"dashboard": "Dashboard", "api": "API", "mail": "Mail page", "database": "Database", "redis": "Redis"}
    told = [f"  {label:<10} {addresses[name]}" for name, label in labels.items() if name in addresses]
    files = f"  {'Files':<10} {settings.output_dir}"
    key, hint = "", []
    if settings.api_keys:
        key, hint = '-H "Authorization: Bearer $API_KEY" ', ["With a key for the scope submit as API_KEY:"]
    post = f"curl -s {addresses['api']}/jobs {key}-H 'Content-Type: application/json' -d {shlex.quote(_EXAMPLE)}"
    return "\n".join(("", "The platform is open for business.", "", *told, files, "", *hint, post, ""))
