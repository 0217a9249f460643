"""The only code that writes job rows.

Each operation is a module with an item (what is asked), an answer, and one statement that takes a batch of items: a
compare-and-set on the job rows together with the transitions that tell of it. `commit` runs a mixed batch of items in
one transaction. The keeper's operations (`release`, `resend`, `add_up`) choose their rows themselves and are
transactions of their own.
"""

from jobplatform.journal.actions import RecordAction
from jobplatform.journal.cancel import Cancel, CancelAnswer
from jobplatform.journal.claim import Claim, Claimed, Refused
from jobplatform.journal.commit import commit
from jobplatform.journal.hint import Hint
from jobplatform.journal.item import Item
from jobplatform.journal.keys import IdempotencyKey, forget_expired
from jobplatform.journal.notes import LogLine, Progress
from jobplatform.journal.open import NewJob, Open, Opened
from jobplatform.journal.open_once import Accepted, OpenOnce, Present
from jobplatform.journal.queues import PauseQueue, QueueAnswer, ResumeQueue
from jobplatform.journal.release import next_due, release
from jobplatform.journal.rescue import Rescued, rescue
from jobplatform.journal.resend import resend
from jobplatform.journal.resubmit import Resubmit, ResubmitAnswer
from jobplatform.journal.settle import Settle, Settled
from jobplatform.journal.tallies import add_up, forget_tallies

__all__ = [
    "Accepted",
    "Cancel",
    "CancelAnswer",
    "Claim",
    "Claimed",
    "Hint",
    "IdempotencyKey",
    "Item",
    "LogLine",
    "NewJob",
    "Open",
    "OpenOnce",
    "Opened",
    "PauseQueue",
    "Present",
    "Progress",
    "QueueAnswer",
    "RecordAction",
    "Refused",
    "Rescued",
    "Resubmit",
    "ResubmitAnswer",
    "ResumeQueue",
    "Settle",
    "Settled",
    "add_up",
    "commit",
    "forget_expired",
    "forget_tallies",
    "next_due",
    "release",
    "rescue",
    "resend",
]
