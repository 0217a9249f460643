"""The picture of a troubled life, drawn while it is lived: two failures, a killed worker, and success."""

import os
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.services.dashboard import Dashboard
from tests.services.patience import eventually


@pytest.fixture(scope="module")
def pages(stack: Callable[..., Dashboard]) -> Dashboard:
    return stack(worker=True, ACTORS="tests.actors.probes", KEEPER_TICK="50")


def test_a_job_that_fails_twice_is_killed_once_and_then_completes_shows_just_that_without_a_reload(
    page: Page, pages: Dashboard
) -> None:
    job = pages.submit("TROUBLED", {})
    page.goto(f"{pages.url}/ui/jobs/{job}")
    page.evaluate("document.body.dataset.loaded = 'once'")
    lanes = page.get_by_role("listitem").filter(has=page.get_by_role("img", name="Attempt"))
    status = page.locator(".job-head .status")

    expect(lanes).to_have_count(3)
    expect(status).to_have_text("running")
    expect(lanes.nth(2).locator(".span.running.live")).to_be_attached()

    third = "SELECT pid FROM workers JOIN jobs ON worker = workers.id WHERE jobs.id = %s AND attempts = 3"
    ((pid,),) = eventually(lambda: pages.query(third, job), what="the third attempt")
    pages.start_worker()
    alive = "SELECT count(*) FROM workers WHERE ended_at IS NULL AND memory IS NOT NULL"
    eventually(lambda: pages.query(alive) == [(2,)], 30, "a second worker")
    os.kill(pid, signal.SIGKILL)

    expect(status).to_have_text("completed", timeout=30_000)
    expect(lanes).to_have_count(4)
    marks = [lanes.nth(number).locator(".mark-label").all_text_contents() for number in range(4)]
    assert marks == [["failed"], ["failed"], ["worker died", "rescued"], ["completed"]]
    for number in range(4):
        expect(lanes.nth(number).locator(".span.running, .span.silent").first).to_be_attached()
    assert "its worker was last heard of" in (
        lanes.nth(2).locator(".lane-strip > svg").get_attribute("aria-label") or ""
    )
    expect(page.locator(".arrow-label.taken")).to_have_text(
        [
            "enqueued",
            "started \N{MULTIPLICATION SIGN}4",
            "rescued",
            "retry planned \N{MULTIPLICATION SIGN}2",
            "released \N{MULTIPLICATION SIGN}2",
            "completed",
        ]
    )
    expect(page.locator(".node.present")).to_have_text("completed")
    assert page.evaluate("document.body.dataset.loaded") == "once"
    expect(page.locator("#job[data-live]")).to_have_count(0)  # it is final, and asks no more
