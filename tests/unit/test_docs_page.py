"""The documents that the API serves: its description, the page that shows it, and a page for each problem."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from falcon import testing

from api.app import create_app
from api.problems import KINDS, Kind
from jobplatform.api_key import new_key
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.reader import Reader
from jobplatform.settings import Settings

STATIC = Path(__file__).parents[2] / "api" / "static"


@pytest.fixture
def client() -> testing.TestClient:
    settings = Settings(redis_url="redis://127.0.0.1:1")
    return testing.TestClient(create_app(JobBroker(settings), Reader(), Inquiries(), settings))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/openapi.json", "application/json"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
        ("/docs/favicon-32x32.png", "image/png"),
        ("/docs/LICENSE", "text/plain; charset=utf-8"),
        ("/problems/unauthorized", "text/markdown; charset=utf-8"),
    ],
)
def test_each_document_has_its_type_and_is_not_sent_again_to_who_has_it(
    client: testing.TestClient, path: str, content_type: str
) -> None:
    answer = client.simulate_get(path)
    again = client.simulate_get(path, headers={"If-None-Match": answer.headers["ETag"]})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.content
    assert (again.status_code, again.content) == (304, b"")
    for known in (f"W/{answer.headers['ETag']}", f'"other", {answer.headers["ETag"]}', "*"):
        assert client.simulate_get(path, headers={"If-None-Match": known}).status_code == 304, known
    assert client.simulate_get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.simulate_head(path).status_code == 200


def test_where_keys_are_asked_for_the_page_shows_no_job_types_and_otherwise_it_does() -> None:
    broker = JobBroker(Settings())
    broker.actor("SECRET_TYPE")(lambda: None)
    key, entry = new_key("ada", "read")

    def shown(settings: Settings, path: str, headers: dict[str, str] | None = None) -> str:
        made = testing.TestClient(create_app(broker, Reader(), Inquiries(), settings))
        answer = made.simulate_get(path, headers=headers)
        assert answer.status_code == 200
        return answer.text

    open_to_all = Settings(redis_url="redis://127.0.0.1:1")
    keyed = replace(open_to_all, api_keys=(entry,))
    assert "SECRET_TYPE" in shown(open_to_all, "/docs/openapi.json")
    assert "SECRET_TYPE" not in shown(keyed, "/docs/openapi.json")
    assert "SECRET_TYPE" in shown(keyed, "/openapi.json", {"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    "path", ["/docs/docs.html", "/docs/..", "/docs/%2e%2e%2fapp.py", "/docs/README.md", "/problems/none"]
)
def test_nothing_else_is_served(client: testing.TestClient, path: str) -> None:
    assert client.simulate_get(path).status_code == 404


def test_all_that_the_page_loads_is_served_and_no_script_or_style_stands_in_it(client: testing.TestClient) -> None:
    answer = client.simulate_get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)

    assert len(loaded) >= 4
    assert {client.simulate_get(f"/{path}").status_code for path in loaded} == {200}
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", answer.text)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_type_of_each_problem_leads_to_what_it_means(client: testing.TestClient, kind: Kind) -> None:
    text = client.simulate_get(kind.uri).text

    assert text.startswith(f"# {kind.name}\n\n{kind.status}")
    assert "## " not in text


def test_the_version_and_the_licence_of_what_was_taken_over_stand_beside_it() -> None:
    assert re.search(
        r"swagger-ui-dist \d+\.\d+\.\d+ .*Apache License 2\.0", (STATIC / "swagger-ui/README.md").read_text()
    )
    assert "Apache License" in (STATIC / "swagger-ui" / "LICENSE").read_text()
