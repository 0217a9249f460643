"""The list of jobs: searching, paging, updating, ticking, and acting on many."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard
from tests.services.patience import eventually


@pytest.fixture(scope="module")
def jobs(stack: Callable[..., Dashboard]) -> Dashboard:
    """A platform without a worker: what is submitted stays as it is, unless a test says otherwise."""
    return stack(keyed=True, ACTORS="actors,tests.actors.probes")


def _open(page: Page, jobs: Dashboard, behind: str = "/ui/jobs", name: str = "ada") -> None:
    jobs.sign_in(page, name, behind)
    expect(page.get_by_role("searchbox").or_(page.get_by_role("combobox"))).to_be_visible()


def _box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search jobs")


def _rows(page: Page) -> Locator:
    return page.locator("table.jobs tbody tr")


def test_without_jobs_it_says_how_to_submit_one(page: Page, jobs: Dashboard) -> None:
    jobs.query("DELETE FROM job_tags")
    jobs.query("DELETE FROM transitions")
    jobs.query("DELETE FROM jobs")
    _open(page, jobs)

    expect(page.get_by_role("heading", name="No job has been submitted yet")).to_be_visible()
    expect(page.locator(".command code")).to_contain_text(f"curl -s {jobs.url}/jobs")
    assert faults_of(page) == []


def test_a_text_finds_jobs_and_is_the_address(page: Page, jobs: Dashboard) -> None:
    wanted = jobs.submit("EMAIL_SEND", {"to": "ann@example.org", "subject": "a", "body": "b"}, priority="high")
    jobs.submit("EMAIL_SEND", {"to": "bob@example.org", "subject": "a", "body": "b"}, tags=["find-me"])
    _open(page, jobs)

    page.keyboard.press("/")
    _box(page).fill("type:email_send payload.to:ann@example.org")
    page.keyboard.press("Enter")

    expect(_rows(page)).to_have_count(1)
    expect(_rows(page).get_by_role("link")).to_have_attribute("href", f"/ui/jobs/{wanted}")
    assert "q=type%3Aemail_send+payload.to%3Aann%40example.org" in page.url
    _box(page).fill("tag:find-me since:1h")
    _box(page).press("Enter")
    expect(_rows(page)).to_have_count(1)
    expect(_rows(page)).to_contain_text("EMAIL_SEND")
    _box(page).fill(wanted)
    _box(page).press("Enter")
    page.wait_for_url(re.compile(f"/ui/jobs/{wanted}"))


def test_the_words_of_get_jobs_are_taken_and_shown_as_a_text(page: Page, jobs: Dashboard) -> None:
    jobs.submit("ECHO", {}, tags=["named"])
    _open(page, jobs, "/ui/jobs?status=queued,running&tag=named&order=oldest")

    expect(_box(page)).to_have_value("status:queued,running tag:named")
    expect(_rows(page)).to_have_count(1)
    expect(page.get_by_role("link", name="Oldest")).to_have_attribute("aria-current", "true")


@pytest.mark.tolerates("status of 503|Error Code 503")
def test_a_platform_that_does_not_answer_takes_nothing_from_the_page(page: Page, jobs: Dashboard) -> None:
    job = jobs.submit("ECHO", {}, tags=["away"])
    _open(page, jobs, "/ui/jobs?q=tag%3Aaway")
    live = page.get_by_role("button", name="Live updates")

    page.route("**/ui/jobs?*", lambda route: route.fulfill(status=503, body="away"))
    expect(live).to_have_class(re.compile("stale"))
    expect(page.locator(f"#job-{job}")).to_contain_text("queued")
    page.unroute("**/ui/jobs?*")
    expect(live).not_to_have_class(re.compile("stale"))


def test_what_cannot_be_meant_is_said_in_place(page: Page, jobs: Dashboard) -> None:
    _open(page, jobs, "/ui/jobs?q=status%3Afaild%20is%3Aopen")

    expect(page.get_by_role("alert")).to_contain_text("perhaps status:failed?")
    expect(page.get_by_role("alert")).to_contain_text("is:open is no qualifier")
    expect(_box(page)).to_have_value("status:faild is:open")
    assert faults_of(page) == []


def test_words_are_completed_by_keys(page: Page, jobs: Dashboard) -> None:
    _open(page, jobs)

    _box(page).press_sequentially("sta")
    page.keyboard.press("Tab")
    expect(_box(page)).to_have_value("status:")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_have_text("status:queued")
    assert faults_of(page) == []
    page.keyboard.press("Enter")
    expect(_box(page)).to_have_value("status:queued ")
    page.keyboard.type("type:csv")
    expect(page.get_by_role("option")).to_have_text(["type:CSV_EXPORT"])
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=status%3Aqueued\\+type%3Acsv"))


def test_a_long_list_has_pages(page: Page, jobs: Dashboard) -> None:
    items = [{"type": "ECHO", "payload": {"value": number}, "tags": ["many"]} for number in range(60)]
    assert jobs.client.post("/jobs/batch", json={"jobs": items}).status_code == 201
    _open(page, jobs, "/ui/jobs?q=tag%3Amany")

    expect(_rows(page)).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(_rows(page)).to_have_count(10)
    page.get_by_role("link", name="First page").click()
    expect(_rows(page)).to_have_count(50)
    newest = _rows(page).first.get_attribute("id")
    page.get_by_role("link", name="Oldest").click()
    expect(_rows(page)).to_have_count(50)
    assert _rows(page).first.get_attribute("id") != newest


def test_where_those_that_fit_are_rare_the_search_goes_on_by_itself(page: Page, jobs: Dashboard) -> None:
    rare = jobs.submit("ECHO", {"value": "a needle"}, tags=["hay"])
    jobs.query(
        "INSERT INTO jobs (id, type, status, priority, queue, payload, finished_at, created_at, updated_at, tags)"
        " SELECT gen_random_uuid(), 'ECHO', 'cancelled', 'default', 'default',"
        " json_build_object('value', repeat(md5(n::text), 60)), now(), now(), now(), '{hay}'"
        " FROM generate_series(1, 30000) AS n"
    )
    jobs.query("UPDATE jobs SET created_at = created_at - interval '1 day' WHERE id = %s", rare)
    _open(page, jobs, "/ui/jobs?q=%22a%20needle%22")

    expect(page.locator(f"#job-{rare}")).to_be_visible(timeout=30_000)
    expect(_rows(page)).to_have_count(1)
    page.locator(f"#job-{rare}").get_by_role("checkbox").check()
    expect(page.get_by_text("1 job ticked")).to_be_visible()


def test_rows_change_in_place_and_new_ones_wait_to_be_shown(page: Page, jobs: Dashboard) -> None:
    first = jobs.submit("ECHO", {}, tags=["live"])
    _open(page, jobs, "/ui/jobs?q=tag%3Alive%20status%3Aqueued")
    page.locator(f"#job-{first}").get_by_role("checkbox").check()

    jobs.submit("ECHO", {}, tags=["live"])
    assert jobs.client.post(f"/jobs/{first}/cancel").status_code == 200

    expect(page.locator(f"#job-{first}")).to_contain_text("cancelled")
    expect(page.locator(f"#job-{first}")).to_have_class("gone")
    expect(page.locator(f"#job-{first}").get_by_role("checkbox")).to_be_checked()
    expect(_rows(page)).to_have_count(1)
    expect(page.get_by_role("link", name="1 newer job: show")).to_be_visible()
    jobs.submit("ECHO", {}, tags=["live"])
    page.get_by_role("link", name="2 newer jobs: show").click()
    expect(_rows(page)).to_have_count(2)
    expect(page.locator(f"#job-{first}")).to_have_count(0)


def test_paused_nothing_is_asked_for_and_a_reload_shows_the_same(page: Page, jobs: Dashboard) -> None:
    job = jobs.submit("ECHO", {}, tags=["paused"])
    _open(page, jobs, "/ui/jobs?q=tag%3Apaused")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Live updates")).to_have_attribute("aria-pressed", "false")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    jobs.client.post(f"/jobs/{job}/cancel")
    page.clock.install()
    page.clock.run_for(20_000)

    assert asked == []
    expect(page.locator(f"#job-{job}")).to_contain_text("queued")
    page.reload()
    expect(page.locator(f"#job-{job}")).to_contain_text("cancelled")


def test_rows_are_walked_and_opened_by_keys(page: Page, jobs: Dashboard) -> None:
    older, newer = (jobs.submit("ECHO", {}, tags=["walked"]) for _ in range(2))
    _open(page, jobs, "/ui/jobs?q=tag%3Awalked")

    page.keyboard.press("j")
    expect(page.locator(f"#job-{newer} a")).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator(f"#job-{newer}").get_by_role("checkbox")).to_be_checked()
    page.locator(f"#job-{newer} a").focus()
    page.keyboard.press("j")
    expect(page.locator(f"#job-{older} a")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/ui/jobs/{newer}"))


def test_ticked_jobs_are_cancelled_with_a_reason(page: Page, jobs: Dashboard) -> None:
    kept, *ticked = (jobs.submit("ECHO", {}, tags=["ticked"]) for _ in range(3))
    _open(page, jobs, "/ui/jobs?q=tag%3Aticked")

    for job in ticked:
        page.locator(f"#job-{job}").get_by_role("checkbox").check()
    expect(page.get_by_text("2 jobs ticked")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="Cancel 2 jobs?")).to_be_visible()
    assert faults_of(page) == []
    page.get_by_label("Reason").fill("Not needed.")
    page.get_by_role("button", name="Cancel 2 jobs").click()

    expect(page.get_by_text("2 jobs cancelled.")).to_be_visible()
    assert "tag%3Aticked" in page.url
    assert [jobs.wait_for(job, "cancelled")["id"] for job in ticked] == ticked
    assert jobs.client.get(f"/jobs/{kept}").json()["status"] == "queued"
    events = jobs.client.get(f"/jobs/{ticked[0]}/events").json()["items"]
    assert (events[-1]["who"], events[-1]["detail"]["reason"]) == ("ada", "Not needed.")


def test_all_that_match_are_counted_first_and_then_put_on_record(page: Page, jobs: Dashboard) -> None:
    for _ in range(3):
        jobs.submit("ECHO", {}, tags=["all"])
    _open(page, jobs, "/ui/jobs?q=tag%3Aall%20since%3A1h")

    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel 3 jobs?")).to_be_visible()
    page.get_by_label("Reason").fill("A mistake.")
    page.get_by_role("button", name="Cancel 3 jobs").click()
    page.wait_for_url(re.compile("/ui/actions/"))

    action = jobs.client.get("/actions").json()["items"][0]
    assert page.url.endswith(action["id"])
    assert (action["kind"], action["matched"], action["reason"], action["who"]) == ("cancel", 3, "A mistake.", "ada")
    assert action["filter"]["tag"] == "all"
    assert "createdAfter" in action["filter"]


def test_a_form_that_does_not_say_which_jobs_are_meant_is_done_to_none(page: Page, jobs: Dashboard) -> None:
    _open(page, jobs, "/ui/jobs/act?kind=cancel")
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    before = jobs.client.get("/actions").json()["items"]

    address, origin = f"{jobs.url}/ui/jobs/act", {"Origin": jobs.url}
    answer = page.request.post(address, form={"csrf": token, "kind": "cancel"}, headers=origin)

    assert answer.status == 400
    assert "names neither jobs nor" in answer.text()
    assert jobs.client.get("/actions").json()["items"] == before


def test_a_key_that_may_only_look_finds_no_button(page: Page, jobs: Dashboard) -> None:
    jobs.submit("ECHO", {}, tags=["looked-at"])
    _open(page, jobs, "/ui/jobs?q=tag%3Alooked-at", "grace")

    expect(_rows(page)).to_have_count(1)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_text("Cancel…")).to_have_count(0)
    page.goto(f"{jobs.url}/ui/jobs/act?kind=cancel&q=tag%3Alooked-at")
    expect(page.get_by_label("Reason")).to_have_count(0)


@pytest.mark.parametrize(("width", "colours"), [(1440, "light"), (1024, "dark"), (390, "light")])
def test_axe_finds_no_fault_at_any_width(page: Page, jobs: Dashboard, width: int, colours: str) -> None:
    jobs.submit("ECHO", {}, tags=[f"axe-{width}"], priority="high")
    jobs.submit("ECHO", {}, tags=[f"axe-{width}"], runAt="2100-01-01T00:00:00Z")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    _open(page, jobs, f"/ui/jobs?q=tag%3Aaxe-{width}")

    expect(_rows(page)).to_have_count(2)
    assert faults_of(page) == []
    wide = eventually(lambda: page.evaluate("document.documentElement.scrollWidth"))
    assert wide <= width
