"""Patterns of schemas as browsers take them."""

import re

import pytest

from actors.csv_export import FileName
from actors.mail.mailboxes import MailboxText
from api.dashboard.payload_form.pattern import html_pattern


def pattern_of(annotated: object) -> str:
    return str(next(meta.pattern for meta in annotated.__metadata__ if meta.pattern))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("^[a-z-]+$", r"^[a-z\-]+$"),
        ("a/b", r"a\/b"),
        (r"\-\"\.", r'-"\.'),
        (r"[(){}|/\-\.\"]", r"[\(\)\{\}\|\/\-.\"]".replace(r"\"", '"')),
        ("[^,;]{2,}", "[^,;]{2,}"),
        (r"(?!\.{1,2})(?:a|b)?(c)", r"(?!\.{1,2})(?:a|b)?(c)"),
        (r"\d\s\x41\u0041\n", r"\d\s\x41\u0041\n"),
    ],
)
def test_a_pattern_is_written_for_browsers(pattern: str, written: str) -> None:
    assert html_pattern(pattern) == rf"[\s\S]*(?:{written})[\s\S]*"


@pytest.mark.parametrize(
    "pattern", [r"\w+", r"\bword", "(?P<name>a)", "(?i)a", "(?<=a)b", r"\Aa", "a{", "[a&&b]", "a]"]
)
def test_what_browsers_read_differently_is_left_to_the_check(pattern: str) -> None:
    assert html_pattern(pattern) is None


@pytest.mark.parametrize(
    ("annotated", "good", "bad"),
    [(MailboxText, "Ada <ada@example.org>", "ada"), (FileName, "a.csv", "a/b.csv")],
)
def test_the_patterns_of_our_actors_reach_the_browser(annotated: object, good: str, bad: str) -> None:
    written = html_pattern(pattern_of(annotated))

    assert written is not None
    assert re.fullmatch(written, good)
    assert not re.fullmatch(written, bad)
