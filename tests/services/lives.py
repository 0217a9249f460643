"""Lives of jobs as transitions, made of a few words, for what is drawn of them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from jobplatform.queries import EventRow

BEGIN = datetime(2030, 1, 31, 8, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def history(*told: tuple[Any, ...]) -> list[EventRow]:
    """Transitions from (event, status after, attempt, seconds) and, if need be, detail and who."""
    rows: list[EventRow] = []
    for number, (event, to, attempt, seconds, *more) in enumerate(told, 1):
        detail, who = [*more, None, None][:2]
        before = rows[-1].to_status if rows else None
        text = None if detail is None else json.dumps(detail)
        worker = "one:1#7" if to == "running" else None
        rows.append(EventRow(number, event, before, to, attempt, at(seconds), worker, who, text, None))
    return rows


#: The details of a failure, and of a death.
ERROR = {"error": {"kind": "error", "type": "Trouble", "message": "attempt 1\nmore", "traceback": None}}
DEATH = {"death": {"host": "one", "pid": 1, "lastSeenAt": "2030-01-31T08:00:10.5Z", "lastLines": []}}

#: It fails twice, is killed once, and then completes.
TROUBLED = history(
    ("enqueued", "queued", 0, 0),
    ("started", "running", 1, 1),
    ("retry_planned", "retrying", 1, 2, ERROR),
    ("released", "queued", 1, 4),
    ("started", "running", 2, 4.5),
    ("retry_planned", "retrying", 2, 6, ERROR),
    ("released", "queued", 2, 9),
    ("started", "running", 3, 9.5),
    ("rescued", "queued", 3, 13, DEATH),
    ("started", "running", 4, 13.5),
    ("completed", "completed", 4, 15),
)
