"""Submits jobs from outside over HTTP, from several threads, and remembers each answer."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from jobplatform.torture.oracle import Accepted, Oracle
from jobplatform.torture.probes import PROBES

_THREADS: Final = 8
#: A client gives up after so many seconds.
_PATIENCE: Final = 10.0
_ODDS_OF_HIGH: Final = 0.15
_ODDS_OF_DELAY: Final = 0.06
_ODDS_OF_VANISHING: Final = 0.01
_ODDS_OF_CANCEL: Final = 0.02


class Submitter:
    """Gets ``jobs`` accepted, spread over ``seconds``."""

    def __init__(
        self,
        oracle: Oracle,
        ports: Sequence[int],
        *,
        jobs: int,
        seconds: float,
        seed: int,
        cancel: Callable[[str], None] | None,
    ) -> None:
        self._oracle = oracle
        self._ports = ports
        self._jobs = jobs
        self._seconds = seconds
        self._cancel = cancel
        self._random = random.Random(f"{seed} load")  # noqa: S311
        self._lock = threading.Lock()
        self._number = 0
        self._started_at = time.monotonic()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit, daemon=True) for _ in range(_THREADS)]

    def start(self) -> None:
        self._started_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Submit no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                accepted = len(self._oracle.accepted)
                if accepted >= self._jobs:
                    return
                due = self._started_at + self._seconds * self._number / self._jobs
                self._number += 1
                number, chance = self._number, random.Random(self._random.random())  # noqa: S311
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._post(number, chance)

    def _post(self, number: int, chance: random.Random) -> None:
        (probe,) = chance.choices(PROBES, [probe.share for probe in PROBES])
        body: dict[str, Any] = {
            "type": probe.type,
            "payload": {"number": number, "seconds": round(chance.uniform(*probe.seconds), 3)},
            "priority": "high" if chance.random() < _ODDS_OF_HIGH else "default",
        }
        run_at = time.time() + chance.uniform(1, 15) if chance.random() < _ODDS_OF_DELAY else None
        if run_at is not None:
            body["runAt"] = datetime.fromtimestamp(run_at, UTC).isoformat()
        port = chance.choice(self._ports)
        vanishes = chance.random() < _ODDS_OF_VANISHING
        cancels = chance.random() < _ODDS_OF_CANCEL
        began = time.monotonic()
        try:
            if vanishes:
                _vanish(port, json.dumps(body).encode(), whole=chance.random() < 0.5)
                self._oracle.doubt(number, "the client vanished", time.monotonic() - began)
                return
            status, answer = _ask(port, json.dumps(body).encode())
        except (OSError, HTTPException) as error:
            self._oracle.doubt(number, type(error).__name__, time.monotonic() - began)
            # A client that finds nobody asks again, but not at once.
            self._stop.wait(0.2)
            return
        took = time.monotonic() - began
        if status != 201:
            self._oracle.doubt(number, f"{status}", took)
            self._stop.wait(0.2)
            return
        job_id = str(answer["jobId"])
        self._oracle.accept(Accepted(job_id, probe.type, number, time.time(), took, run_at))
        if cancels and self._cancel is not None:
            self._stop.wait(chance.uniform(0, 1))
            self._cancel(job_id)


def _ask(port: int, body: bytes) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("POST", "/jobs", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if answer.status == 201 else None
    except ValueError as error:
        raise HTTPException(str(error)) from None
    finally:
        connection.close()


def _vanish(port: int, body: bytes, *, whole: bool) -> None:
    """Send a request, whole or half of it, and be gone before the answer."""
    head = (
        f"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        connection.sendall(head + (body if whole else body[: len(body) // 2]))
