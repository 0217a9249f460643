"""The spans of time by which tallies add up what has happened, and for how long they are kept."""

from datetime import timedelta
from typing import Final

#: Minutes of a span, and for how long its tallies are kept.
KEPT: Final = {1: timedelta(hours=8), 15: timedelta(days=32)}

#: What tallies name all types together.
ALL_TYPES: Final = ""
