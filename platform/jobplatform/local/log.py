"""One readable log of many processes: each line says whose it is."""

import os
import threading
from collections.abc import Callable
from typing import Final, TextIO

_COLOURS: Final = (36, 33, 35, 32, 34, 31)
_WIDTH: Final = 8


class Log:
    """Lines from all children, in the order they come, with aligned names; in colour on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Callable[[str], None]:
        """What writes the lines of one process."""
        prefix = f"{name:<{_WIDTH}} │ "
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return lambda line: self._write(f"{prefix}{line}\n")

    def plain(self, text: str) -> None:
        """Write lines to copy from: without a name before them."""
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        # The terminal may be gone: the platform has to be stopped in order all the same.
        with self._lock:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                return
