"""``python -m jobplatform jobs …``: the platform's jobs from a shell. Tables for people, ``--json`` for programs."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from jobplatform.client import ApiError, Client, Job
from jobplatform.download import new_file, own_name
from jobplatform.errors import PlatformError
from jobplatform.local.calls import base_url
from jobplatform.settings import Settings
from jobplatform.states import QUEUES, Status

#: The exit code where a job that was waited for did not complete.
_NOT_COMPLETED: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help="where the API is (default: API_URL, else HOST and PORT)")
    common.add_argument("--key", help="the key to show (default: API_KEY)")
    common.add_argument("--json", action="store_true", help="answer in JSON, one object a line")
    commands = parser.add_subparsers(metavar="ACTION", required=True)

    def command(name: str, act: Callable[[Client, argparse.Namespace], int], purpose: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=purpose, description=purpose, parents=[common])
        added.set_defaults(act=act)
        return added

    listing = command("list", _list, "list jobs, newest first")
    for option in ("status", "type", "priority", "tag", "q"):
        listing.add_argument(f"--{option}", help="see GET /jobs in docs/http.md")
    listing.add_argument("--limit", type=_positive, default=20, help="how many at the most (20)")
    command("show", _show, "show a job with its history").add_argument("job")
    submit = command("submit", _submit, "submit a job")
    submit.add_argument("type", help="one of those that the platform knows, such as CSV_EXPORT")
    submit.add_argument("payload", help="JSON; @FILE reads it from a file, - from stdin")
    submit.add_argument("--priority", choices=QUEUES)
    submit.add_argument("--run-at", metavar="TIME", help="not before this time, such as 2030-01-31T08:00:00Z")
    submit.add_argument("--max-retries", type=int, metavar="N")
    submit.add_argument("--tag", action="append", default=[], dest="tags")
    submit.add_argument("--unique-key")
    submit.add_argument("--on-conflict", choices=("reject", "return", "replace"))
    submit.add_argument("--idempotency-key", help="repeat a submit with the same key, and there is still one job")
    submit.add_argument("--watch", action="store_true", help="then watch it to its end")
    command("watch", _watch, "print what happens to a job until it is final").add_argument("job")
    for name, act, purpose in (
        ("cancel", _cancel, "call a job off"),
        ("retry", _retry, "queue a failed or cancelled job again"),
    ):
        acting = command(name, act, purpose)
        acting.add_argument("job")
        acting.add_argument("--reason", help="goes on record")
        if name == "retry":
            acting.add_argument("--payload", help="JSON to run it with instead; @FILE and - as with submit")
    command("explain", _explain, "say why a job is not running, or how it ended").add_argument("job")
    logs = command("logs", _logs, "print what a job logged")
    logs.add_argument("job")
    logs.add_argument("--attempt", type=_positive, metavar="N", help="of this attempt alone")
    output = command("output", _output, "fetch the file that a job made")
    output.add_argument("job")
    output.add_argument("--to", metavar="FILE", help="a file, a folder, or - for stdout (default: this folder)")
    output.add_argument("--overwrite", action="store_true", help="replace a file of that name")
    command("counts", _counts, "count the jobs by type and status")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked for. Returns the exit code: 0, or 3 where a watched job did not complete.

    Raises:
        PlatformError: the API refused it, or does not answer; one line says why.
    """
    url = arguments.url or settings.api_url or base_url(settings.host, settings.port)
    with Client(url, key=arguments.key or settings.api_key or None) as client:
        try:
            code: int = arguments.act(client, arguments)
        except ApiError as error:
            raise PlatformError("\n".join(map(_shown, str(error).split("\n")))) from error
        return code


def _list(client: Client, given: argparse.Namespace) -> int:
    jobs = client.jobs(
        limit=given.limit, status=given.status, type=given.type, priority=given.priority, tag=given.tag, q=given.q
    )
    if given.json:
        for job in jobs:
            _print_json(job)
        return 0
    rows = [(j.id, j.type, j.status, j.priority, str(j.attempts), _local(j.created_at), _summary(j)) for j in jobs]
    _print_table(("id", "type", "status", "priority", "attempts", "created", ""), rows)
    return 0


def _show(client: Client, given: argparse.Namespace) -> int:
    job, events = client.job(given.job), client.events(given.job)
    if given.json:
        _print_json(msgspec.to_builtins(job) | {"events": msgspec.to_builtins(events)})
        return 0
    for name, value in msgspec.to_builtins(job).items():
        if value not in (None, []):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            _say(f"{name:<16} {shown}")
    print()
    rows = [
        (_local(e.at), e.event, e.to_status, str(e.attempt or ""), e.worker or e.who or "", _remark(e.detail))
        for e in events
    ]
    _print_table(("at", "event", "status", "attempt", "by", ""), rows)
    return 0


def _submit(client: Client, given: argparse.Namespace) -> int:
    job = client.submit(
        given.type,
        _payload(given.payload),
        priority=given.priority,
        run_at=_time(given.run_at),
        max_retries=given.max_retries,
        tags=given.tags,
        unique_key=given.unique_key,
        on_conflict=given.on_conflict,
        idempotency_key=given.idempotency_key,
    )
    if given.watch:
        given.job = job.id
        return _watch(client, given)
    _print_json(job) if given.json else print(job.id)
    return 0


def _watch(client: Client, given: argparse.Namespace) -> int:
    for kind, data in client.stream(given.job):
        if given.json:
            _print_json({"kind": kind, **data})
        elif kind == "progress":
            _say(f"{'':<15} progress       {json.dumps(data['progress'])}")
        else:
            at = datetime.fromisoformat(data["at"])
            by = data["worker"] or data["who"] or ""
            _say(f"{_clock(at)} {data['event']:<14} {data['to']:<10} {by} {_remark(data['detail'])}".rstrip())
    job = client.job(given.job)
    if not given.json:
        _say(f"{job.id} {job.status} {_summary(job)}".rstrip())
    return 0 if job.status == Status.COMPLETED else _NOT_COMPLETED


def _cancel(client: Client, given: argparse.Namespace) -> int:
    job = client.cancel(given.job, given.reason)
    word = "is cancelled" if job.status == Status.CANCELLED else "was asked to stop"
    _print_json(job) if given.json else print(f"{job.id} {word}.")
    return 0


def _retry(client: Client, given: argparse.Namespace) -> int:
    changed = {} if given.payload is None else {"payload": _payload(given.payload)}
    job = client.retry(given.job, given.reason, **changed)
    _print_json(job) if given.json else print(f"{job.id} is {job.status} again.")
    return 0


def _explain(client: Client, given: argparse.Namespace) -> int:
    answer = client.explain(given.job)
    if given.json:
        _print_json(answer)
        return 0
    _say(answer["summary"])
    for reason in answer["reasons"]:
        _say(f"  {reason['code']}: {reason['message']}")
    return 0


def _logs(client: Client, given: argparse.Namespace) -> int:
    lines = client.logs(given.job, given.attempt)
    if given.json:
        for line in lines:
            _print_json(line)
        return 0
    rows = [(_local(datetime.fromisoformat(line["at"])), str(line["attempt"]), line["text"]) for line in lines]
    _print_table(("at", "attempt", "text"), rows)
    return 0


def _output(client: Client, given: argparse.Namespace) -> int:
    if given.to == "-":
        client.download(given.job, sys.stdout.buffer)
        return 0
    path = Path(given.to or ".")
    if path.is_dir():
        path /= own_name(client.job(given.job))
    with new_file(path, overwrite=given.overwrite) as file:
        length = client.download(given.job, file)
    _print_json({"file": str(path), "bytes": length}) if given.json else _say(f"{path}: {length} bytes")
    return 0


def _counts(client: Client, given: argparse.Namespace) -> int:
    counts = client.counts()
    if given.json:
        _print_json(counts)
        return 0
    by_type = {**counts["byType"], "all": counts["byStatus"]}
    rows = [
        (name, *(str(of_type.get(status, 0)) for status in Status), str(sum(of_type.values())))
        for name, of_type in by_type.items()
    ]
    _print_table(("type", *Status, "all"), rows)
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive whole number")
    return int(text)


def _payload(text: str) -> Any:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8")
        except (OSError, UnicodeError) as error:
            raise PlatformError(f"The payload cannot be read: {error}") from None
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text, type=msgspec.Raw)))
    except msgspec.DecodeError as error:
        raise PlatformError(f"The payload is no JSON: {error}") from None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise PlatformError(f"{text!r} is no time: write it like 2030-01-31T08:00:00Z.") from None
    return at if at.tzinfo else at.astimezone()


def _summary(job: Job) -> str:
    if job.status == Status.FAILED and isinstance(job.error, dict):
        return str(job.error.get("message", ""))[:80]
    if job.progress is not None and not job.final:
        return json.dumps(job.progress)
    return ""


def _remark(detail: Any) -> str:
    if not isinstance(detail, dict):
        return ""
    error = detail.get("error", detail)
    text = detail.get("reason") or (error.get("message") if isinstance(error, dict) else error) or ""
    return str(text)


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).astimezone().strftime("%H:%M:%S.%f")


def _say(text: str) -> None:
    print(_shown(text), flush=True)


def _shown(text: str) -> str:
    """What others wrote, as a terminal may have it: a character that could steer it is spelled as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _print_json(value: Any) -> None:
    print(msgspec.json.encode(value).decode(), flush=True)


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [head, *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
