"""Signing in with a key, and what a key without the scope to act sees."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard


@pytest.fixture(scope="module")
def keyed(stack: Callable[..., Dashboard]) -> Dashboard:
    return stack(keyed=True)


def test_a_key_leads_to_the_page_one_wanted_and_signing_out_back(page: Page, keyed: Dashboard) -> None:
    keyed.sign_in(page, "ada", "/?window=1h")

    expect(page).to_have_url(f"{keyed.url}/?window=1h")
    expect(page.get_by_title("Signed in as ada")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(keyed.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.tolerates("status of 403")
def test_a_wrong_key_is_refused_in_place_and_so_is_one_that_may_not_read(page: Page, keyed: Dashboard) -> None:
    page.goto(keyed.url)
    assert faults_of(page) == []

    page.get_by_label("Key", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("no key that may look")
    keyed.sign_in(page, "linus")
    expect(page.get_by_role("alert")).to_contain_text("needs the scope read")


@pytest.mark.tolerates("status of 403")
def test_a_key_that_may_only_look_is_told_so_and_cannot_act(page: Page, keyed: Dashboard) -> None:
    keyed.sign_in(page, "grace")
    expect(page.get_by_text("can only look")).to_be_visible()

    token = page.locator("input[name=csrf]").first.input_value()
    answer = page.evaluate(
        "async (csrf) => (await fetch('/ui/jobs', {method: 'POST', body: new URLSearchParams({csrf})})).status", token
    )

    assert answer == 403
