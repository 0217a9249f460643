"""The demo: submits the seed jobs over REST and prints their lives as they happen."""

import importlib.resources
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jobplatform.errors import PlatformError
from jobplatform.local.calls import base_url, call
from jobplatform.local.children import Child
from jobplatform.local.folder import LocalFolder
from jobplatform.local.ports import is_open
from jobplatform.settings import Settings
from jobplatform.states import FINAL, Status

_LOOK_EVERY_SECONDS: Final = 0.1
_START_SECONDS: Final = 120
_SILENCE_SECONDS: Final = 60


class DemoFailed(PlatformError):
    """The demo cannot go on."""


@dataclass
class _Job:
    """A submitted job, as far as it has been told."""

    number: int
    view: dict[str, Any]
    last_event: int = 0

    @property
    def name(self) -> str:
        return f"{self.number} {self.view['type']} {self.view['priority']}"

    @property
    def final(self) -> bool:
        return self.view["status"] in FINAL


def demo(settings: Settings) -> int:
    """Submit the seed jobs to the running platform, or to one that is started for it, and watch them to their ends.

    Returns:
        0 if all completed, else 1.

    Raises:
        PlatformError: there is no platform, or it does not go on.
    """
    with _platform(settings) as api:
        jobs = [_submit(api, number, seed) for number, seed in enumerate(_seeds(), 1)]
        _watch(api, jobs)
        _print_table(jobs)
    completed = sum(job.view["status"] == Status.COMPLETED for job in jobs)
    print(f"\n{completed} of {len(jobs)} jobs completed.")
    return 0 if completed == len(jobs) else 1


@contextmanager
def _platform(settings: Settings) -> Iterator[str]:
    """The address of the platform that runs, else of one that runs until the end of the block."""
    folder = LocalFolder(Path(".local"))
    chosen = base_url(settings.host, settings.port)
    for api in (str(folder.running().get("api", chosen)), chosen):
        if _is_ours(api):
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
            child.wait_until(lambda: "api" in folder.running() and _is_ours(folder.running()["api"]), _START_SECONDS)
            print(f"It is at {folder.running()['api']} and gets the seed jobs.\n")
            yield str(folder.running()["api"])
        finally:
            child.stop()


def _is_ours(api: str) -> bool:
    answer = call("GET", f"{api}/types")
    if answer is None or answer.status != 200 or not isinstance(answer.content, dict):
        return False
    types = {item.get("type") for item in answer.content.get("items", ()) if isinstance(item, dict)}
    return {seed["type"] for seed in _seeds()} <= types


def _seeds() -> list[dict[str, Any]]:
    seeds: list[dict[str, Any]] = json.loads(importlib.resources.files("seeds").joinpath("demo.json").read_text())
    return seeds


def _submit(api: str, number: int, seed: dict[str, Any]) -> _Job:
    request = {name: value for name, value in seed.items() if name != "delaySeconds"}
    if delay := seed.get("delaySeconds"):
        request["runAt"] = (datetime.now(UTC) + timedelta(seconds=delay)).isoformat()
    answer = call("POST", f"{api}/jobs", request)
    if answer is None or answer.status != 201:
        raise DemoFailed(f"Job {number} ({seed['type']}) was not accepted: {answer.content if answer else 'no answer'}")
    return _Job(number, answer.content)


def _watch(api: str, jobs: Sequence[_Job]) -> None:
    """Print each transition until all jobs are final."""
    started_at = min(_time(job.view["createdAt"]) for job in jobs)
    heard_at = time.monotonic()
    while waiting := [job for job in jobs if not job.final]:
        news = sorted(
            (_time(event["at"]), event["id"], job.name, event) for job in waiting for event in _news(api, job)
        )
        for at, _, name, event in news:
            print(_line((at - started_at).total_seconds(), name, event), flush=True)
        if news:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > _SILENCE_SECONDS:
            raise DemoFailed(f"Nothing has happened for {_SILENCE_SECONDS} s: does a worker run?")
        time.sleep(_LOOK_EVERY_SECONDS)


def _news(api: str, job: _Job) -> list[dict[str, Any]]:
    """The job's transitions since the last call."""
    url = f"{api}/jobs/{job.view['id']}"
    # The job first: if it is final, all of its transitions are there to be read.
    view, events = call("GET", url), call("GET", f"{url}/events")
    if view is None or events is None or view.status != 200 or events.status != 200:
        return []  # a platform that restarts; the limit on silence holds
    news = [event for event in events.content["items"] if event["id"] > job.last_event]
    job.last_event = max((event["id"] for event in news), default=job.last_event)
    job.view = view.content
    return news


def _line(seconds: float, name: str, event: dict[str, Any]) -> str:
    statuses = f"{event['from'] or '∅':>9} → {event['to']:<9}"
    return f"{seconds:8.3f} s  {name:<20}  {event['event']:<13} {statuses}  {_remark(event)}".rstrip()


def _remark(event: dict[str, Any]) -> str:
    if event["event"] == "started":
        return f"attempt {event['attempt']} on {event['worker']}"
    detail = event["detail"]
    error = detail.get("error", detail) if isinstance(detail, dict) else detail
    return str(error.get("message", "") if isinstance(error, dict) else error or "")


def _print_table(jobs: Sequence[_Job]) -> None:
    print(f"\n{'job':<20}  {'status':<9}  attempts  {'took':>8}   result")
    for job in jobs:
        view = job.view
        took = (_time(view["finishedAt"]) - _time(view["createdAt"])).total_seconds()
        print(f"{job.name:<20}  {view['status']:<9}  {view['attempts']:>8}  {took:6.3f} s   {_outcome(view)}")


def _outcome(view: dict[str, Any]) -> str:
    result, error = view["result"], view["error"]
    if isinstance(result, dict):
        if "filePath" in result:
            return f"{result['filePath']}, {result['rows']} rows"
        if "accepted" in result:
            return f"mail to {', '.join(result['accepted'])}"
    return str(error.get("message", error) if isinstance(error, dict) else json.dumps(result))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
