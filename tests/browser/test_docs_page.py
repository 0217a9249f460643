"""The page /docs in a real browser, served by a real gunicorn."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.services.processes import Processes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(processes: Processes, database_url: str, redis_url: str, free_port: int) -> str:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "PORT": str(free_port), "WEB_CONCURRENCY": "1"}
    gunicorn = processes.start(Path(sys.executable).with_name("gunicorn"), environment=environment, folder=ROOT)
    gunicorn.wait_for("The API listens at")
    return f"http://127.0.0.1:{free_port}"


def test_the_page_shows_the_api_asks_no_other_host_and_tries_a_call(page: Page, url: str) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{url}/docs")
    expect(page.locator(".info .title")).to_contain_text("Job platform", timeout=20_000)
    page.locator("#operations-jobs-submitJob .opblock-summary-control").click()
    page.locator("#operations-jobs-submitJob").get_by_role("button", name="Try it out").click()
    page.locator("#operations-jobs-submitJob").get_by_role("button", name="Execute").click()

    status = page.locator("#operations-jobs-submitJob .live-responses-table tbody .response-col_status").first
    expect(status).to_have_text("201", timeout=20_000)
    assert complaints == []
    assert {urlsplit(address).netloc for address in asked} == {urlsplit(url).netloc}
    assert f"{url}/docs/openapi.json" in asked
