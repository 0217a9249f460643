"""The demo: submits the seed jobs over REST and prints their lives as they happen."""

import importlib.resources
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from jobplatform.client import ApiError, Client, Event, Job
from jobplatform.errors import PlatformError
from jobplatform.local.calls import base_url, call
from jobplatform.local.children import Child
from jobplatform.local.folder import LocalFolder
from jobplatform.local.ports import is_open
from jobplatform.settings import Settings
from jobplatform.states import Status

_LOOK_EVERY_SECONDS: Final = 0.1
_START_SECONDS: Final = 120
_SILENCE_SECONDS: Final = 60


class DemoFailed(PlatformError):
    """The demo cannot go on."""


@dataclass
class _Watched:
    """A submitted job, as far as it has been told."""

    number: int
    job: Job
    last_event: int = 0

    @property
    def name(self) -> str:
        return f"{self.number} {self.job.type} {self.job.priority}"


def demo(settings: Settings) -> int:
    """Submit the seed jobs to the running platform, or to one that is started for it, and watch them to their ends.

    Returns:
        0 if all completed, else 1.

    Raises:
        PlatformError: there is no platform, or it does not go on.
    """
    with _platform(settings) as api, Client(api, key=settings.api_key or None) as client:
        jobs = [_submit(client, number, seed) for number, seed in enumerate(_seeds(), 1)]
        _watch(client, jobs)
        _print_table(jobs)
    completed = sum(watched.job.status == Status.COMPLETED for watched in jobs)
    print(f"\n{completed} of {len(jobs)} jobs completed.")
    return 0 if completed == len(jobs) else 1


@contextmanager
def _platform(settings: Settings) -> Iterator[str]:
    """The address of the platform that runs, else of one that runs until the end of the block."""
    folder = LocalFolder(Path(".local"))
    chosen = base_url(settings.host, settings.port)
    for api in (str(folder.running().get("api", chosen)), chosen):
        if _is_ours(api, settings.api_key):
            print(f"The platform at {api} gets the seed jobs.\n")
            yield api
            if api == folder.running().get("api") and (page := folder.running().get("mail")):
                print(f"\nThe mails are at {page}.")
            return
    if is_open(settings.port, settings.host):
        raise DemoFailed(
            f"Something that is not the job platform listens at {chosen}: stop that, or choose another port with PORT."
        )
    folder.path.mkdir(exist_ok=True)
    with (folder.path / "demo.log").open("w", buffering=1) as log:
        child = Child(
            "the platform",
            (sys.executable, "-m", "jobplatform", "up"),
            on_line=lambda line: print(line, file=log),
            grace_seconds=60,
        )
        print("No platform is running: one is started for the demo (its log: .local/demo.log).")
        try:
            child.start()
            child.wait_until(
                lambda: "api" in folder.running() and _is_ours(folder.running()["api"], settings.api_key),
                _START_SECONDS,
            )
            print(f"It is at {folder.running()['api']} and gets the seed jobs.\n")
            yield str(folder.running()["api"])
        finally:
            child.stop()


def _is_ours(api: str, key: str) -> bool:
    """Whether a platform answers there that knows the types of the demo.

    Raises:
        DemoFailed: one does, and wants another key.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = call("GET", f"{api}/types", headers=headers)
    if answer is not None and answer.status == HTTPStatus.UNAUTHORIZED:
        raise DemoFailed(f"The platform at {api} wants a key: set API_KEY.")
    if answer is None or answer.status != HTTPStatus.OK or not isinstance(answer.content, dict):
        return False
    types = {item.get("type") for item in answer.content.get("items", ()) if isinstance(item, dict)}
    return {seed["type"] for seed in _seeds()} <= types


def _seeds() -> list[dict[str, Any]]:
    seeds: list[dict[str, Any]] = json.loads(importlib.resources.files("seeds").joinpath("demo.json").read_text())
    return seeds


def _submit(client: Client, number: int, seed: dict[str, Any]) -> _Watched:
    run_at = datetime.now(UTC) + timedelta(seconds=seed["delaySeconds"]) if "delaySeconds" in seed else None
    try:
        job = client.submit(seed["type"], seed["payload"], priority=seed.get("priority"), run_at=run_at)
    except ApiError as error:
        raise DemoFailed(f"Job {number} ({seed['type']}) was not accepted: {error}") from error
    return _Watched(number, job)


def _watch(client: Client, jobs: Sequence[_Watched]) -> None:
    """Print each transition until all jobs are final."""
    started_at = min(watched.job.created_at for watched in jobs)
    heard_at = time.monotonic()
    while waiting := [watched for watched in jobs if not watched.job.final]:
        news = sorted(
            (event.at, event.id, watched.name, event) for watched in waiting for event in _news(client, watched)
        )
        for at, _, name, event in news:
            print(_line((at - started_at).total_seconds(), name, event), flush=True)
        if news:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > _SILENCE_SECONDS:
            raise DemoFailed(f"Nothing has happened for {_SILENCE_SECONDS} s: does a worker run?")
        time.sleep(_LOOK_EVERY_SECONDS)


def _news(client: Client, watched: _Watched) -> list[Event]:
    """The job's transitions since the last call."""
    # The job first: if it is final, all of its transitions are there to be read.
    watched.job = client.job(watched.job.id)
    news = [event for event in client.events(watched.job.id) if event.id > watched.last_event]
    watched.last_event = max((event.id for event in news), default=watched.last_event)
    return news


def _line(seconds: float, name: str, event: Event) -> str:
    statuses = f"{event.from_status or '∅':>9} → {event.to_status:<9}"
    return f"{seconds:8.3f} s  {name:<20}  {event.event:<13} {statuses}  {_remark(event)}".rstrip()


def _remark(event: Event) -> str:
    if event.event == "started":
        return f"attempt {event.attempt} on {event.worker}"
    error = event.detail.get("error", event.detail) if isinstance(event.detail, dict) else event.detail
    return str(error.get("message", "") if isinstance(error, dict) else error or "")


def _print_table(jobs: Sequence[_Watched]) -> None:
    print(f"\n{'job':<20}  {'status':<9}  attempts  {'took':>8}   result")
    for watched in jobs:
        job = watched.job
        took = ((job.finished_at or job.updated_at) - job.created_at).total_seconds()
        print(f"{watched.name:<20}  {job.status:<9}  {job.attempts:>8}  {took:6.3f} s   {_outcome(job)}")


def _outcome(job: Job) -> str:
    result, error = job.result, job.error
    if isinstance(result, dict):
        if "filePath" in result:
            return f"{result['filePath']}, {result['rows']} rows"
        if "accepted" in result:
            return f"mail to {', '.join(result['accepted'])}"
    return str(error.get("message", error) if isinstance(error, dict) else json.dumps(result))
