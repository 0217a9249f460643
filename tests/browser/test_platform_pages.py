"""Failures, queues, types, workers and actions, as people look at them and act on them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard

#: Nothing is retried by itself, and keepers hurry.
QUICK = {"ACTORS": "actors,tests.actors.probes", "MAX_RETRIES": "0", "KEEPER_TICK": "50"}


@pytest.fixture(scope="module")
def pages(stack: Callable[..., Dashboard]) -> Dashboard:
    return stack(keyed=True, worker=True, **QUICK)


def failed(pages: Dashboard, count: int, type: str = "HOPELESS") -> list[str]:  # noqa: A002
    jobs = [pages.submit(type, {}) for _ in range(count)]
    for job in jobs:
        pages.wait_for(job, "failed")
    return jobs


def test_from_the_overview_the_commonest_failure_is_seen_and_retried_with_a_reason(
    page: Page, pages: Dashboard
) -> None:
    jobs = failed(pages, 8)
    failed(pages, 1, "THROWING")
    pages.sign_in(page, "ada")

    commonest = page.locator(".failures li").first
    expect(commonest).to_contain_text("HOPELESS", timeout=20_000)  # the overview may be some seconds old
    commonest.get_by_role("link", name="Trouble").click()
    expect(page.locator(".traceback")).to_contain_text('raise Trouble("always")')
    page.get_by_label("Reason").fill("the server is back")
    page.get_by_role("button", name="Retry all 8 jobs").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Retry failed HOPELESS jobs that failed with Trouble")
    expect(page.get_by_label("The action")).to_contain_text("finished")
    reasons = pages.query(
        "SELECT job_id::text, who, detail->>'reason' FROM transitions WHERE event = 'resubmitted' ORDER BY job_id"
    )
    assert reasons == [(job, "ada", "the server is back") for job in sorted(jobs)]
    page.get_by_role("link", name="All actions").click()
    expect(page.locator("tbody tr").first).to_contain_text("the server is back")
    expect(page.locator("tbody tr").first).to_contain_text("8 of 8")


def test_failures_are_those_of_the_time_that_was_chosen(page: Page, pages: Dashboard) -> None:
    job = failed(pages, 1, "THROWING")[0]
    pages.query("UPDATE jobs SET finished_at = finished_at - interval '2 hours' WHERE type = 'THROWING'")
    pages.sign_in(page, "ada", "/ui/failures?type=THROWING")
    expect(page.locator("tbody tr")).to_contain_text("for good")

    page.get_by_role("link", name="1h", exact=True).click()
    expect(page.get_by_text("Nothing failed in the last hour")).to_be_visible()
    page.get_by_role("link", name="24h", exact=True).click()
    page.locator("tbody tr").get_by_role("link").first.click()

    newest = page.locator(".newest").get_by_role("link").first
    expect(newest).to_have_attribute("href", f"/ui/jobs/{job}")


def test_a_queue_rests_until_it_is_resumed(page: Page, pages: Dashboard) -> None:
    pages.sign_in(page, "ada", "/ui/queues")
    queue = page.get_by_role("region", name="high")

    queue.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("a rest")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(queue).to_contain_text(re.compile("Paused by ada .*: a rest"))
    waiting = pages.submit("ECHO", {}, priority="high")
    page.reload()
    expect(queue.locator(".figure", has_text="Waiting")).to_contain_text("1")

    queue.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(queue).not_to_contain_text("Paused by")
    pages.wait_for(waiting, "completed")
    expect(page.get_by_role("region", name="Pauses of late").first).to_contain_text("a rest")


def test_a_queue_without_workers_and_a_type_that_none_knows_say_so(page: Page, pages: Dashboard) -> None:
    pages.query("UPDATE workers SET queues = '{default}', types = array_remove(types, 'ECHO')")
    pages.sign_in(page, "ada", "/ui/queues")

    expect(page.get_by_role("region", name="high")).to_contain_text("No live worker serves this queue")
    expect(page.get_by_role("region", name="default", exact=True)).not_to_contain_text("No live worker")
    page.goto(f"{pages.url}/ui/types/ECHO")
    expect(page.get_by_text("No live worker knows this type")).to_be_visible()
    pages.query("UPDATE workers SET queues = '{high,default}', types = types || '{ECHO}'")


@pytest.mark.tolerates("status of 422")
def test_a_job_is_submitted_by_a_form_made_from_its_schema(page: Page, pages: Dashboard) -> None:
    pages.sign_in(page, "ada", "/ui/types/CSV_EXPORT")
    expect(page.get_by_label("delimiter")).to_have_value(",")

    page.get_by_label("data required").fill("[{")
    page.get_by_role("button", name="Only check").click()
    expect(page.locator(".field", has=page.get_by_label("data required"))).to_contain_text("is not JSON")
    expect(page.get_by_label("data required")).to_be_focused()
    page.get_by_label("data required").fill("[]")
    page.get_by_label("columns").fill("id\nid")
    page.get_by_role("button", name="Only check").click()
    expect(page.locator(".field", has=page.get_by_label("columns"))).to_contain_text(
        "line 2: is the same as an item before it"
    )

    page.get_by_label("data required").fill('[{"id": 12345678901234567890, "name": "Ada"}]')
    page.get_by_label("columns").fill("id\nname")
    page.get_by_label("Tags").fill("nightly, eu")
    page.get_by_role("button", name="Only check").click()
    expect(page.get_by_text("It would be accepted")).to_be_visible()
    assert pages.query("SELECT count(*) FROM jobs WHERE type = 'CSV_EXPORT'") == [(0,)]

    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page).to_have_url(re.compile("/ui/jobs/[0-9a-f-]{36}$"))
    ((job, payload, tags, who),) = pages.query(
        "SELECT j.id::text, payload::text, tags, who FROM jobs AS j JOIN transitions AS t ON t.job_id = j.id"
        " WHERE type = 'CSV_EXPORT' AND event = 'enqueued'"
    )
    assert payload == (
        '{"data":[{"id": 12345678901234567890, "name": "Ada"}],"columns":["id","name"],"delimiter":",","bom":false}'
    )
    assert (tags, who) == (["nightly", "eu"], "ada")
    pages.wait_for(job, "completed")


@pytest.mark.tolerates("status of (422|409)")
def test_a_payload_may_be_typed_as_json_and_the_job_have_its_own_options(page: Page, pages: Dashboard) -> None:
    pages.sign_in(page, "ada", "/ui/types/NAP?as=json")

    page.get_by_label("Payload required").fill('{"seconds": "many"}')
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("seconds: Expected `float`, got `str`")).to_be_visible()
    page.get_by_label("Payload required").fill('{"seconds": 0.01}')
    page.get_by_label("Run at").fill("2040-01-31T08:00:00")
    page.get_by_label("Unique key").fill("one")
    page.get_by_label("Priority").select_option("high")
    page.get_by_label("Retries").fill("7")
    page.get_by_role("button", name="Submit", exact=True).click()

    expect(page).to_have_url(re.compile("/ui/jobs/"))
    assert pages.query(
        "SELECT status, priority, unique_key, options->>'max_retries', run_at::text FROM jobs WHERE type = 'NAP'"
    ) == [("scheduled", "high", "one", "7", "2040-01-31 08:00:00+00")]
    page.goto(f"{pages.url}/ui/types/NAP")
    page.get_by_label("Unique key").fill("one")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("link", name="Look at that job")).to_be_visible()


def test_another_job_like_one_is_a_form_away(page: Page, pages: Dashboard) -> None:
    job = pages.submit("TALKING", {"lines": ["one", "two"]})
    pages.sign_in(page, "ada", f"/ui/jobs/{job}")

    page.get_by_role("link", name="Another like it").click()
    expect(page.get_by_label("lines")).to_have_value("one\ntwo")
    page.get_by_label("lines").fill("three")
    page.get_by_role("button", name="Submit", exact=True).click()

    expect(page).to_have_url(re.compile(f"/ui/jobs/(?!{job})"))
    newest = pages.query("SELECT payload::text FROM jobs WHERE type = 'TALKING' ORDER BY created_at DESC LIMIT 1")
    assert newest == [('{"lines":["three"]}',)]


def test_a_form_that_is_sent_twice_makes_one_job(page: Page, pages: Dashboard) -> None:
    pages.sign_in(page, "ada", "/ui/types/WITH_SUCCESS")
    send = """async () => {
        const form = document.querySelector("[data-submission]");
        const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))});
        return answer.url;
    }"""

    assert page.evaluate(send) == page.evaluate(send)

    assert pages.query("SELECT count(*) FROM jobs WHERE type = 'WITH_SUCCESS'") == [(1,)]


def test_workers_show_what_each_slot_runs(page: Page, pages: Dashboard) -> None:
    job = pages.submit("STUBBORN", {"seconds": 60})
    pages.wait_for(job, "running")
    pages.sign_in(page, "ada", "/ui/workers")

    expect(page.locator(".slot")).to_have_count(4)
    expect(page.locator(".slot.busy")).to_have_attribute("href", f"/ui/jobs/{job}")
    expect(page.get_by_role("row", name=re.compile("STUBBORN"))).to_contain_text("1 of 4 busy")
    pages.query("UPDATE workers SET stopping_at = now() WHERE ended_at IS NULL")
    expect(page.locator("tbody")).to_contain_text("stopping")  # without a reload
    pages.query("UPDATE workers SET stopping_at = NULL")
    pages.query(
        "INSERT INTO workers (host, pid, version, broker, queues, types, threads, started_at, last_seen_at, ended_at,"
        " died) VALUES ('elsewhere', 1, '0.0.9', 'x', '{high}', '{ECHO}', 2, now(), now(), now(), true)"
    )
    page.get_by_role("link", name="Ended ones, too").click()
    expect(page.get_by_role("row", name=re.compile("elsewhere"))).to_contain_text("died")


def test_who_may_only_look_sees_no_buttons_and_is_refused(page: Page, pages: Dashboard) -> None:
    failed(pages, 1, "THROWING")
    pages.sign_in(page, "grace", "/ui/failures")
    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.locator(".traceback")).to_be_visible()
    own = ["Sign out", "Live updates", "Dark or light", "Keys", "Close", "Copy the command"]

    for place in ("failures", "queues", "types/CSV_EXPORT", "workers", "actions"):
        page.goto(f"{pages.url}/ui/{place}" if place != "failures" else page.url)
        buttons = page.get_by_role("button").all()
        names = [button.get_attribute("aria-label") or button.inner_text().strip() for button in buttons]
        assert [name for name in names if name not in own] == [], place
    page.goto(pages.url)
    expect(page.locator(".failures li").first).to_be_visible(timeout=20_000)  # the overview may be some seconds old
    expect(page.get_by_text("Retry…").filter(visible=True)).to_have_count(0)
    page.goto(f"{pages.url}/ui/actions")
    csrf = page.locator("input[name=csrf]").first.get_attribute("value")
    for place in ("queues/high/pause", "failures/retry", "types/ECHO"):
        answer = page.request.post(
            f"{pages.url}/ui/{place}", form={"csrf": csrf or ""}, headers={"Origin": pages.url}, max_redirects=0
        )
        assert answer.status == 403, place


def test_axe_finds_no_serious_fault(page: Page, pages: Dashboard) -> None:
    failed(pages, 1, "THROWING")
    pages.sign_in(page, "ada", "/ui/failures")
    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.locator(".traceback")).to_be_visible()
    assert faults_of(page) == []
    page.emulate_media(color_scheme="dark")
    assert faults_of(page) == []
    pages.client.post("/queues/high/resume", json={"reason": "for the record"})
    (action, *_) = pages.client.get("/actions").json()["items"]

    for place in ("workers?ended=true", "queues", "types", "types/CSV_EXPORT", "actions", f"actions/{action['id']}"):
        page.goto(f"{pages.url}/ui/{place}")
        assert faults_of(page) == [], place
