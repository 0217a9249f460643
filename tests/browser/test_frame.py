"""What all pages have: head, navigation, keys, themes, the switch of live updates; and signing in."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.services.axe import faults_of
from tests.services.dashboard import Dashboard


@pytest.fixture(scope="module")
def open_pages(stack: Callable[..., Dashboard]) -> Dashboard:
    return stack()


def test_without_keys_the_overview_is_there_at_once(page: Page, open_pages: Dashboard) -> None:
    page.goto(open_pages.url)

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_keys_search_help_and_go(page: Page, open_pages: Dashboard) -> None:
    page.goto(open_pages.url)

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_live_updates_and_colours_stay_as_they_were_set(page: Page, open_pages: Dashboard) -> None:
    page.goto(open_pages.url)
    live = page.get_by_role("button", name="Live updates")
    expect(live).to_have_attribute("aria-pressed", "true")

    live.click()
    page.get_by_role("button", name="Dark or light").click()
    page.reload()

    expect(live).to_have_attribute("aria-pressed", "false")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_fault(page: Page, open_pages: Dashboard, colours: str) -> None:
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    page.goto(open_pages.url)
    assert faults_of(page) == []

    page.keyboard.press("?")
    assert faults_of(page) == []
