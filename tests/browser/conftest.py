"""A browser: Debian's Chromium, which `make test-deps` installs, without a window."""

from collections.abc import Iterator
from shutil import which

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

#: As root Chromium has no sandbox of its own; and what it would ask of the world outside, it need not.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser of the test's own: while one is open its event loop runs in this thread, and no other can."""
    program = which("chromium")
    assert program, "Chromium is missing: make test-deps"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window without a past."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
