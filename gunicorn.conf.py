"""All that gunicorn needs to know: plain ``gunicorn`` in this folder serves the API.

The settings come from the environment and ``.env`` (see docs/configuration.md). A wrong one ends gunicorn here, with
one line: an exit in the app would make the master start workers for ever.
"""

import gc
import logging
import os
import signal
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jobplatform.errors import SettingsError
from jobplatform.settings import Settings, settings


def _checked() -> Settings:
    try:
        chosen = settings()
    except SettingsError as error:
        raise SystemExit(f"Cannot start the API: {error}") from None
    for variable, value in (("DATABASE_URL", chosen.database_url), ("REDIS_URL", chosen.redis_url)):
        if not value:
            raise SystemExit(f"Cannot start the API: {variable} is not set. `make run` brings a Postgres and a Redis.")
    _refuse_to_be_open(chosen)
    for name in chosen.actors:
        # Only the outermost package: to look further would import it. gunicorn looks in this folder too.
        if find_spec(name.partition(".")[0]) is None:
            raise SystemExit(f"Cannot start the API: ACTORS names the module {name}, which cannot be found.")
    return chosen


def _refuse_to_be_open(chosen: Settings) -> None:
    if not chosen.loopback_only and not chosen.api_keys and not chosen.allow_anonymous:
        raise SystemExit(
            f"Cannot start the API: it would listen at {chosen.host!r}, beyond this machine, where anybody could submit"
            " jobs. Set API_KEYS, or ALLOW_ANONYMOUS=true if that is what you want."
        )


def _workers() -> int:
    given = os.environ.get("WEB_CONCURRENCY") or "2"
    if not given.isdecimal() or not 1 <= int(given) <= 64:
        raise SystemExit(f"Cannot start the API: WEB_CONCURRENCY is {given!r}: it must be a whole number from 1 to 64.")
    return int(given)


sys.path.insert(0, str(Path.cwd()))
_settings = _checked()

wsgi_app = "api.app:application()"
worker_class = "asgi"
asgi_loop = "uvloop"
workers = _workers()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"

# Long enough for a client to send its next request, short enough that idle connections do not hold up a stop.
keepalive = 2
# A worker gives its requests two seconds less than this, see post_worker_init.
graceful_timeout = 10
# How long a body may stall, and a worker be stuck, before it is given up.
timeout = 30

# The heartbeat file belongs in memory: a slow disk must not look like a dead worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()  # noqa: S108
umask = 0o077
# By default every gunicorn of a user opens the same socket in the home folder.
control_socket_disable = True

# Warnings and errors only, on stderr, of our own loggers too; what is usual is one line at the start.
# (gunicorn's logconfig would do, but it also turns on the access log.)
loglevel = "warning"
logging.basicConfig(
    level=logging.WARNING,
    format="%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
    datefmt="[%Y-%m-%d %H:%M:%S %z]",
)


def on_starting(server: Any) -> None:
    """Hold the addresses that gunicorn's own options name against the same rule as HOST.

    A socket, by its path or already open, is for those to whom its owner gives it.
    """
    for address in server.cfg.address:
        if isinstance(address, tuple):
            _refuse_to_be_open(replace(_settings, host=address[0]))


def post_worker_init(worker: Any) -> None:
    """Say, once, where the API is; keep what is loaded from the collector; and make a stopping worker finish by itself.

    Worker and master would give up at the same moment, and the master kills. And whoever waits for the end of a job
    would hold up the stop, so the app is told first.
    """
    if worker.age == 1:
        addresses = ", ".join(str(listener) for listener in worker.sockets)
        print(f"The API listens at {addresses} with {worker.cfg.workers} workers.", file=sys.stderr, flush=True)
    # It stays to the end. To look it all over, as is done now and then, stops the process for some 50 ms.
    gc.collect()
    gc.freeze()
    worker.cfg.set("graceful_timeout", max(1, worker.cfg.graceful_timeout - 2))

    def stop() -> None:
        worker.asgi.closing.set()
        worker.handle_exit_signal()

    worker.loop.add_signal_handler(signal.SIGTERM, stop)
    # uvloop looks at signals that came before its loop ran when the next one comes. This one does nothing.
    worker.loop.call_soon(signal.raise_signal, signal.SIGWINCH)
