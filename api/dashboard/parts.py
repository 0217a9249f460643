"""What the pages are made of: the same parts that the API's resources are given."""

from dataclasses import dataclass

from api.answers import Answers
from api.counts import Counting
from api.cursor import Cursors
from api.dashboard.page import Pages
from api.findings import Findings
from api.health import Ready
from api.queues import Queues
from jobplatform.broker import JobBroker
from jobplatform.reader import Reader
from jobplatform.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Everything that a page may need. Each takes what it does need."""

    pages: Pages
    broker: JobBroker
    reader: Reader
    findings: Findings
    cursors: Cursors
    counting: Counting
    answers: Answers
    ready: Ready
    queues: Queues
    settings: Settings
