"""The mail catcher: an SMTP server that delivers nothing, and a page that shows what it caught."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from jobplatform.local.children import Child
from jobplatform.local.ports import is_open

_READY_SECONDS: Final = 30
_RUN: Final = "import sys; from maildump_runner.main import main; sys.exit(main())"


class MailCatcher(Child):
    """maildump on two loopback ports; the mails are gone when it stops."""

    def __init__(
        self, smtp_port: int, page_port: int, *, on_line: Callable[[str], None], keep_open: Sequence[int] = ()
    ) -> None:
        self._ports = (smtp_port, page_port)
        options = {
            "smtp-ip": "127.0.0.1",
            "smtp-port": str(smtp_port),
            "http-ip": "127.0.0.1",
            "http-port": str(page_port),
        }
        super().__init__(
            "mail",
            # -n: its page must not be able to end it.
            (sys.executable, "-c", _RUN, "-f", "-n", *(f"--{name}={value}" for name, value in options.items())),
            on_line=on_line,
            folder=Path("/"),
            keep_open=keep_open,
        )

    @staticmethod
    def installed() -> bool:
        return importlib.util.find_spec("maildump_runner") is not None

    def start(self) -> None:
        """Start it and wait until both ports are open.

        Raises:
            ChildFailed: it ended or does not listen.
        """
        super().start()
        self.wait_until(lambda: all(is_open(port) for port in self._ports), _READY_SECONDS)
