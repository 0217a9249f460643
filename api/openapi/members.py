"""What people are told of the members of the bodies that they send."""

from typing import Final

_REASON: Final = "Why, for the record: it stands in the transitions that this causes, beside who asked."

#: By schema and name.
MEMBERS: Final[dict[tuple[str, str], str]] = {
    ("Envelope", "type"): "What is to be done: one of the types that `GET /types` lists.",
    ("Envelope", "payload"): "What it is to be done with. It must fit the schema of the type.",
    ("Envelope", "priority"): "`high` goes before all that is `default`. Left out: `default`.",
    ("Envelope", "runAt"): "The job runs then, and not before. A time that is past, or left out: at once.",
    ("Envelope", "maxRetries"): (
        "How often the job is run again after an error, with a growing pause before each time. Left out: what its type"
        " says, else the platform's `MAX_RETRIES`, which is 3 unless set otherwise."
    ),
    ("Envelope", "tags"): "Words to find the job by. One that comes twice counts once.",
    ("Envelope", "uniqueKey"): (
        "Among the unfinished jobs of its type only one holds this key: from the moment it is accepted until it is"
        " completed, failed or cancelled. `onConflict` says what becomes of a second one."
    ),
    ("Envelope", "onConflict"): (
        "What is wanted where another job holds the `uniqueKey`, without which this is refused. `reject`: 409, whose"
        " `jobId` names the holder. `return`: 200 with the holder as it is now, and no new job. `replace`: the new job"
        " is accepted, and a holder that waits is cancelled; one that runs is not: 409. Left out: `reject`."
    ),
    ("Batch", "jobs"): "They are accepted in this order: all of them, or none.",
    ("ReasonBody", "reason"): _REASON,
    ("RetryBody", "reason"): _REASON,
    ("RetryBody", "payload"): "Another payload, which must fit the job's type. The one before is kept.",
    ("ActionBody", "reason"): _REASON,
    ("ActionBody", "kind"): (
        "`cancel`: jobs that wait are cancelled, and running ones asked to stop. `retry`: failed and cancelled ones are"
        " queued again. Jobs to which it cannot be done are passed over."
    ),
    ("ActionBody", "filter"): "To which jobs. Each member narrows them down; without any, all are meant.",
    ("ActionBody", "dryRun"): "`true`: only count the jobs, and change nothing. Left out: `false`.",
    ("FilterBody", "status"): "In one of these statuses: a list, or words divided by commas.",
    ("FilterBody", "type"): "Of one of these types: a list, or words divided by commas.",
    ("FilterBody", "priority"): "Of this priority.",
    ("FilterBody", "tag"): "With this tag.",
    ("FilterBody", "createdAfter"): "Accepted after this time.",
    ("FilterBody", "createdBefore"): "Accepted before this time.",
    ("FilterBody", "finishedAfter"): "Final since a time after this one.",
    ("FilterBody", "failure"): "Whose error is one of this group, as `GET /failures` names it.",
    ("FilterBody", "q"): (
        "Whose payload holds this text, small or capital letters alike; or `$.to.0=value`: this value at this path."
    ),
}
