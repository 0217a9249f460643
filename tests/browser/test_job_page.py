"""The page of one job: what it shows, and what can be done there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def pages(stack: Callable[..., Dashboard], tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    folder = tmp_path_factory.mktemp("output")
    return stack(worker=True, ACTORS="actors,tests.actors.probes", KEEPER_TICK="50", OUTPUT_DIR=str(folder))


@pytest.fixture(scope="module")
def locked(stack: Callable[..., Dashboard], pages: Dashboard) -> Dashboard:  # noqa: ARG001
    """The same jobs, behind keys."""
    return stack(keyed=True, ACTORS="actors,tests.actors.probes")


def failed_greeting(pages: Dashboard) -> str:
    job = pages.submit("GREET", {"name": "nobody", "times": 12345678901234567}, maxRetries=0)
    pages.wait_for(job, "failed")
    return job


@pytest.mark.tolerates("422")
def test_a_failed_job_tells_what_it_did_wrong_and_is_retried_with_another_payload(page: Page, pages: Dashboard) -> None:
    job = failed_greeting(pages)
    page.goto(f"{pages.url}/ui/jobs/{job}")

    expect(page.get_by_role("tab", name="Error")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".traceback .own")).to_contain_text('raise Trouble("there is nobody to greet")')
    expect(page.locator(".traceback details")).not_to_have_attribute("open", "")
    assert faults_of(page) == []

    page.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog", name="Run this job again?")
    expect(dialog.get_by_label("Payload")).to_have_value('{\n  "name": "nobody",\n  "times": 12345678901234567\n}')
    dialog.get_by_label("Reason").fill("the name was wrong")
    dialog.get_by_label("Payload").fill('{"name": 5}')
    with page.expect_navigation():
        dialog.get_by_role("button", name="Run it again").click()

    expect(dialog.get_by_role("alert")).to_contain_text("/payload/name")
    expect(dialog.get_by_label("Reason")).to_have_value("the name was wrong")
    assert faults_of(page) == []
    dialog.get_by_label("Payload").fill('{"name": "Ann", "times": 2}')
    dialog.get_by_role("button", name="Run it again").click()

    expect(page.get_by_role("status")).to_contain_text("queued again, with the new payload")
    expect(page.locator(".job-head .status")).to_have_text("completed")
    expect(page.locator("#result-text")).to_have_text('"Hello Ann, Hello Ann"')
    resubmitted = page.get_by_role("row").filter(has_text="resubmitted")
    expect(resubmitted).to_contain_text("the name was wrong")
    expect(resubmitted).to_contain_text("anonymous")
    page.get_by_role("tab", name="Payload").click()
    expect(page.locator(".diff .went")).to_have_text(['-   "name": "nobody",', '-   "times": 12345678901234567'])
    expect(page.locator(".diff .came")).to_have_text(['+   "name": "Ann",', '+   "times": 2'])


@pytest.mark.tolerates("422")
def test_what_is_no_json_is_refused_in_place(page: Page, pages: Dashboard) -> None:
    page.goto(f"{pages.url}/ui/jobs/{failed_greeting(pages)}#explain")

    page.get_by_role("button", name="Retry").click()
    page.locator("#retry-payload").fill("{nonsense")
    page.get_by_role("button", name="Run it again").click()

    expect(page.get_by_role("alert")).to_contain_text("/payload")
    expect(page.locator("#retry-payload")).to_have_value("{nonsense")


def test_a_waiting_job_is_cancelled_with_a_reason(page: Page, pages: Dashboard) -> None:
    job = pages.submit("ECHO", {"value": 1}, runAt="2099-01-01T00:00:00Z")
    page.goto(f"{pages.url}/ui/jobs/{job}")
    expect(page.locator("#summary")).to_contain_text("It is to run at")
    expect(page.locator(".span.planned")).to_have_count(2)  # in the picture, and what it means

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator("#cancel-reason").fill("No longer needed.")
    page.get_by_role("button", name="Cancel the job").click()

    expect(page.locator(".job-head .status")).to_have_text("cancelled")
    expect(page.locator("#summary")).to_contain_text("It was cancelled by anonymous: No longer needed.")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_updates_take_away_nothing_that_was_opened_typed_or_chosen(page: Page, pages: Dashboard) -> None:
    job = pages.submit("NAP", {"seconds": 60})
    pages.wait_for(job, "running")
    page.goto(f"{pages.url}/ui/jobs/{job}#logs")
    ran = page.locator(".short dd").nth(1)
    page.locator("#tabs").get_by_role("tab", name="Explain").click()
    page.get_by_text("Detail", exact=True).click()
    before = ran.text_content() or ""
    expect(ran).not_to_have_text(before)

    expect(page.locator(".transitions summary").first).to_be_focused()
    expect(page.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#explain")).to_be_visible()
    expect(page.locator("#logs")).to_be_hidden()
    expect(page.locator(".transitions details").first).to_have_attribute("open", "")

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator("#cancel-reason").fill("half a rea")
    before = ran.text_content() or ""
    expect(ran).not_to_have_text(before)
    expect(page.locator("#cancel-reason")).to_be_focused()
    page.locator("#cancel-reason").press_sequentially("son")
    page.get_by_role("button", name="Cancel the job").click()

    expect(page.locator(".job-head .status")).to_have_text("cancelled")
    expect(page.locator(".transitions")).to_contain_text("half a reason")
    assert faults_of(page) == []


def test_a_file_is_downloaded_and_tabs_are_walked_by_keys_and_kept_in_the_address(page: Page, pages: Dashboard) -> None:
    job = pages.submit("CSV_EXPORT", {"data": [{"a": 1}, {"a": 2}]})
    pages.wait_for(job, "completed")
    page.goto(f"{pages.url}/ui/jobs/{job}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == b"a\r\n1\r\n2\r\n"
    assert download.value.suggested_filename == f"{job}.csv"

    page.get_by_role("tab", name="Result").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Payload")).to_be_visible()
    assert page.url.endswith("#payload")
    page.reload()
    expect(page.get_by_role("tab", name="Payload")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).to_have_count(1)


def test_the_last_lines_of_a_log_are_shown_and_those_before_them_a_link_away(page: Page, pages: Dashboard) -> None:
    job = pages.submit("TALKING", {"lines": [f"line {number}" for number in range(1, 251)]})
    pages.wait_for(job, "completed")
    page.goto(f"{pages.url}/ui/jobs/{job}#logs")

    expect(page.get_by_text("line 250", exact=True)).to_be_in_viewport()
    expect(page.locator(".log tbody tr")).to_have_count(200)
    page.get_by_role("link", name="Earlier lines").click()
    expect(page.locator(".log tbody tr")).to_have_count(50)
    expect(page.get_by_text("line 1", exact=True)).to_be_visible()


def test_who_may_only_look_sees_no_buttons_and_may_not_act(page: Page, pages: Dashboard, locked: Dashboard) -> None:
    job = failed_greeting(pages)

    locked.sign_in(page, "grace", f"/ui/jobs/{job}")

    expect(page.locator(".job-head .status")).to_have_text("failed")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    expect(page.locator("dialog#retry, dialog#cancel")).to_have_count(0)
    refused = page.request.post(f"{locked.url}/ui/jobs/{job}/retry", form={"csrf": "x"})
    assert refused.status == 403


def test_what_is_done_is_done_under_the_name_of_the_key(page: Page, pages: Dashboard, locked: Dashboard) -> None:
    job = failed_greeting(pages)

    locked.sign_in(page, "ada", f"/ui/jobs/{job}")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Run it again").click()

    expect(page.get_by_role("row").filter(has_text="resubmitted")).to_contain_text("ada")
    assert pages.query("SELECT count(*) FROM payload_versions WHERE job_id = %s", job) == [(0,)]


@pytest.mark.tolerates("404")
def test_an_id_that_no_job_has_is_not_found(page: Page, pages: Dashboard) -> None:
    answer = page.goto(f"{pages.url}/ui/jobs/{NOBODY}")

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("main")).to_contain_text(f"No job has the id {NOBODY}.")


def test_without_a_script_all_is_there_and_can_be_done(browser: Browser, pages: Dashboard) -> None:
    job = failed_greeting(pages)
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{pages.url}/ui/jobs/{job}")

    for panel in ("#error", "#result", "#payload", "#logs", "#explain"):
        expect(page.locator(panel)).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    page.locator("#retry-reason").fill("without a script")
    page.get_by_role("button", name="Run it again").click()

    expect(page.locator(".transitions")).to_contain_text("without a script")
    page.context.close()
