"""A browser: Debian's Chromium, which `make test-deps` installs, without a window; and the pages for it to show."""

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.dashboard import Dashboard, dashboard

ROOT = Path(__file__).parents[2]

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

#: How long to wait for what a page is to do, in milliseconds: the machine may be busy.
_PATIENCE = 20_000

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note for the fixtures of a test whether it failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of the module's own: while one is open its event loop runs in this thread, and no other can."""
    program = which("chromium")
    assert program, "Chromium is missing: make test-deps"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window without a past. What it complains of, and what it asks of another host, fails the test.

    If the test fails, a picture of the page is in ``.artifacts/``.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(_host(request)))
    yield page
    hosts = {host for host in asked if host}
    if request.node.stash.get(_failed, False):
        _keep(page, request.node.name)
    context.close()
    tolerated = [mark.args[0] for mark in request.node.iter_markers("tolerates")]
    assert [said for said in complaints if not any(re.search(pattern, said) for pattern in tolerated)] == []
    assert len(hosts) <= 1, f"It asked {hosts}."


@pytest.fixture(scope="module")
def stack(postgres_server: Postgres, redis_server: Valkey) -> Iterator[Callable[..., Dashboard]]:
    """Starts the dashboard on a database of its own, with what it is given: see `tests.services.dashboard`."""
    with dashboard(postgres_server, redis_server) as start:
        yield start


def _host(request: Request) -> str:
    address = urlsplit(request.url)
    return "" if address.scheme in ("data", "blob", "about") else address.netloc


def _keep(page: Page, name: str) -> None:
    folder = ROOT / ".artifacts"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())[:100]}.png", full_page=True)
