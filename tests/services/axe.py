"""What axe-core finds wrong with a page for those who do not see it, or use no mouse."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

#: axe's measures of harm that no page of ours may do.
_BAD = ("serious", "critical")


def faults_of(page: Page) -> list[str]:
    """The serious and critical faults of the page as it stands, each with the elements that have it."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}\n" + "\n".join(f"  {node['html']}" for node in fault["nodes"][:5])
        for fault in found
        if fault["impact"] in _BAD
    ]
