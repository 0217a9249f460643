"""The templates and files of the dashboard: what its policy forbids is in none of them, and the wheel has them all."""

import re
from pathlib import Path

import pytest
from falcon import testing

from api.app import create_app
from api.dashboard.static_files import Files
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.reader import Reader
from jobplatform.settings import Settings

FOLDER = Path(__file__).parents[2] / "api" / "dashboard"
TEMPLATES = sorted((FOLDER / "templates").rglob("*.*"))
OURS = sorted(path for path in (FOLDER / "static").iterdir() if path.suffix in (".js", ".css"))

#: What the policy forbids, and what would let a value into the page unescaped.
_FORBIDDEN = re.compile(
    r"\sstyle=|\son[a-z]+=|<style|javascript:|\|\s*safe\b|autoescape\s+false|hx-on|hx-vals=.js:|<script(?![^>]*\ssrc=)",
    re.IGNORECASE,
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_what_the_policy_forbids(template: Path) -> None:
    assert _FORBIDDEN.findall(template.read_text("utf-8")) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_posts_brings_the_token(template: Path) -> None:
    forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", template.read_text("utf-8"), re.DOTALL)

    assert [form[:100] for form in forms if "token()" not in form and "/ui/sign-in" not in form] == []


@pytest.mark.parametrize("file", [*TEMPLATES, *OURS], ids=lambda path: path.name)
def test_nothing_comes_from_another_host(file: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", file.read_text("utf-8"))

    assert [address for address in addresses if "www.w3.org" not in address] == []


def test_each_file_that_a_template_names_is_there() -> None:
    files = Files()
    named = {name for path in TEMPLATES for name in re.findall(r"static\('([^']+)'\)", path.read_text("utf-8"))}

    assert {"dashboard.css", "dashboard.js", "htmx.min.js"} <= named
    assert sorted(named - set(files.bodies)) == []


def test_the_names_of_files_differ() -> None:
    names = [path.name for path in (FOLDER / "static").rglob("*") if path.is_file()]

    assert sorted(names) == sorted(set(names))


def test_the_libraries_have_their_licences_and_versions_beside_them() -> None:
    vendor = FOLDER / "static" / "vendor"
    told = (vendor / "README.md").read_text("utf-8")

    assert (
        sorted(path.name for path in vendor.iterdir() if path.name != "README.md" and f"`{path.name}`" not in told)
        == []
    )
    assert re.search(r'version:"2\.0\.11"', (vendor / "htmx.min.js").read_text("utf-8"))
    assert "uPlot (v1.6.32)" in (vendor / "uPlot.iife.min.js").read_text("utf-8")


def test_files_may_be_kept_for_ever_at_an_address_that_changes_with_them() -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1")
    client = testing.TestClient(create_app(JobBroker(settings), Reader(), Inquiries(), settings))
    address = Files().address("dashboard.css")

    now, before = client.simulate_get(address), client.simulate_get("/ui/static/another/dashboard.css")

    assert (now.status_code, before.status_code) == (200, 200)
    assert "immutable" in now.headers["Cache-Control"]
    assert before.headers["Cache-Control"] == "no-cache"
    assert now.headers["Content-Type"] == "text/css; charset=utf-8"
    assert client.simulate_get("/ui/static/another/README.md").status_code == 404
    assert client.simulate_get("/ui/static/another/..%2F..%2Fpage.py").status_code == 404
