"""The overview, as people see it: empty, alive, and with what went wrong."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Position, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard
from tests.services.patience import eventually

#: Where nothing has happened yet, the overview as it is then.
EMPTY: dict[str, str] = {}


@pytest.fixture(scope="module")
def pages(stack: Callable[..., Dashboard]) -> Dashboard:
    """Three jobs that were completed, and one that failed."""
    dashboard = stack(worker=True, ACTORS="actors,tests.actors.probes")
    EMPTY["html"] = dashboard.client.get("/").text
    jobs = [dashboard.submit("ECHO", {"value": 1}) for _ in range(3)]
    jobs.append(dashboard.submit("THROWING", {}, priority="high"))
    for job in jobs:
        dashboard.wait_for(job, "completed", "failed")
    eventually(
        lambda: dashboard.query(
            "SELECT coalesce(sum(completed + failed), 0) >= 4 FROM tallies WHERE span = 1 AND type = ''"
        )[0][0],
        30,
    )
    return dashboard


def figure(page: Page, name: str) -> int:
    """The number under this name."""
    return int(page.locator(".figure").filter(has_text=name).locator("dd").first.inner_text())


@pytest.mark.usefixtures("pages")
def test_without_a_job_it_says_how_to_submit_one() -> None:
    assert "No job has been submitted yet" in EMPTY["html"]
    assert "curl localhost" in EMPTY["html"]
    assert "No failed job" in EMPTY["html"]


def test_what_happens_is_seen_without_a_reload(page: Page, pages: Dashboard) -> None:
    page.goto(f"{pages.url}/?window=15m")
    before = figure(page, "Completed")
    pages.submit("ECHO", {"value": 1})
    slow = pages.submit("NAP", {"seconds": 60})

    cell = page.locator(f".cell.busy[href='/ui/jobs/{slow}']")
    expect(cell).to_have_count(1, timeout=15_000)
    cell.focus()
    expect(page.locator("[data-said]")).to_contain_text(re.compile(r"NAP …\w{8}, attempt 1, for [\d.]+ "))
    pages.client.post(f"/jobs/{slow}/cancel")
    eventually(lambda: figure(page, "Completed") > before, 20)


def test_it_shows_what_has_happened(page: Page, pages: Dashboard) -> None:
    page.goto(f"{pages.url}/?window=15m")

    legend = page.get_by_role("list", name="Outcomes in the last 15m")
    expect(legend.get_by_role("link", name=re.compile("completed [3-9]"))).to_be_visible()
    expect(legend.get_by_role("link", name=re.compile("failed 1"))).to_be_visible()
    for name in ("ends", "wait", "run"):
        expect(page.locator(f"[data-plot={name}] canvas")).to_be_visible()
    group = page.locator(".failures li")
    expect(group).to_contain_text("GiveUp: for good")
    expect(group).to_contain_text("version 0.1.0")
    assert figure(page, "Lost") == 0
    assert figure(page, "Failed") == 1
    assert faults_of(page) == []


def test_the_counters_lead_to_the_lists_that_they_count(page: Page, pages: Dashboard) -> None:
    page.goto(pages.url)

    addresses = {link.get_attribute("href") for link in page.locator(".figures a, td a.counter").all()}

    assert {"/ui/jobs?status=queued", "/ui/jobs?status=running&priority=high", "/ui/jobs?status=retrying"} <= addresses
    assert all((address or "").startswith("/ui/jobs?") for address in addresses)


def test_pointing_at_the_chart_says_what_is_there_and_a_click_leads_to_it(page: Page, pages: Dashboard) -> None:
    page.goto(f"{pages.url}/?window=15m")
    over = page.locator("[data-plot=ends] .u-over")
    steps = page.evaluate("JSON.parse(document.querySelector('[data-chart]').dataset.chart)")
    totals = [sum(part["numbers"][place] for part in steps["ends"]) for place in range(15)]
    place = max(range(15), key=lambda number: totals[number])
    box = over.bounding_box()
    assert box
    at = Position(x=box["width"] * (place + 0.6) / 15.2, y=box["height"] - 4)

    over.hover(position=at)

    tip = page.locator("[data-plot=ends] .tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("completed")
    with page.expect_request(re.compile("/ui/jobs")) as asked:
        over.click(position=at)
    assert "finishedAfter=" in asked.value.url
    assert "status=" in asked.value.url


def test_the_view_is_in_the_address_and_narrows_the_chart(page: Page, pages: Dashboard) -> None:
    page.goto(pages.url)
    page.get_by_label("Type", exact=True).select_option("THROWING")
    page.wait_for_url(re.compile("type=THROWING"))
    page.get_by_role("link", name="15m").click()
    page.wait_for_url(re.compile("window=15m"))

    legend = page.get_by_role("list", name="Outcomes in the last 15m")
    expect(legend.get_by_role("link", name=re.compile("failed 1"))).to_be_visible()
    expect(legend.get_by_role("link", name=re.compile("completed 0"))).to_be_visible()
    page.get_by_role("link", name="Show as a table").click()
    table = page.get_by_role("region", name="Outcomes, step by step")
    expect(table.locator("tbody tr")).to_have_count(1)
    assert faults_of(page) == []


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1024, False)])
def test_nothing_is_wider_than_the_window(page: Page, pages: Dashboard, width: int, dark: bool) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(pages.url)
    expect(page.locator("[data-plot=ends] canvas")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults_of(page) == []


def test_an_update_is_the_moving_part_alone(pages: Dashboard) -> None:
    whole, part = pages.client.get("/"), pages.client.get("/", headers={"HX-Request": "true"})

    assert 'id="overview"' in whole.text
    assert 'id="overview"' in part.text
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert "csrf" not in part.text
    assert part.headers["Cache-Control"] == "no-store"
    assert pages.client.get("/?window=2h").status_code == 400
