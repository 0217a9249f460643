"""What the gate lets in, as whom, and what it puts on every answer."""

import asyncio
from typing import Any
from uuid import UUID

import falcon.asgi
import pytest
from falcon import testing

from api.app import App
from api.errors import answer_errors
from api.gate import Gate
from api.problems import JOB_NOT_FOUND, Problem
from api.request import Request
from jobplatform.api_key import ApiKey, digest_of, new_key
from jobplatform.settings import Settings

# Always the same: the keys are in the names of tests, on which all processes of a run must agree.
ADA, OPS = "jp_ada-s-key", "jp_ops-key"
ADA_ENTRY = ApiKey("ada", frozenset({"submit", "read"}), digest_of(ADA.encode()))
OPS_ENTRY = ApiKey("ops", frozenset({"operate"}), digest_of(OPS.encode()))
KEYED = Settings(api_keys=(ADA_ENTRY, OPS_ENTRY))
SITE = "https://dashboard.example"


class Echo:
    """Says who asks, and under which id."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, **_params: str) -> None:
        resp.media = {"who": req.who, "requestId": req.request_id}

    on_head = on_get
    on_post = on_get


class Missing:
    """Finds nothing."""

    async def on_get(self, _req: Request, _resp: falcon.asgi.Response) -> None:
        raise Problem(JOB_NOT_FOUND, "No.")


class Page:
    """Has a policy of its own."""

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        resp.set_header("Content-Security-Policy", "default-src 'self'")
        resp.text = "page"


def _client(settings: Settings) -> testing.TestClient:
    app = App(Gate(settings))
    for path in ("/jobs", "/jobs/batch", "/jobs/{job_id}/cancel", "/health", "/ready", "/openapi.json", "/docs"):
        app.add_route(path, Echo())
    app.add_route("/missing", Missing())
    app.add_route("/page", Page())
    answer_errors(app)
    return testing.TestClient(app)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("GET", "/jobs", None, 401),
        ("GET", "/nowhere", None, 401),
        ("POST", "/jobs", None, 401),
        ("OPTIONS", "/jobs", None, 401),
        ("GET", "/jobs", ADA, 200),
        ("HEAD", "/jobs", ADA, 200),
        ("GET", "/nowhere", ADA, 404),
        ("POST", "/jobs", ADA, 200),
        ("POST", "/jobs/batch", ADA, 200),
        ("POST", "/jobs/1/cancel", ADA, 403),
        ("POST", "/jobs/1/cancel", OPS, 200),
        ("GET", "/jobs", OPS, 403),
        ("POST", "/jobs", OPS, 403),
        ("DELETE", "/jobs", ADA, 403),
        ("DELETE", "/jobs", OPS, 405),
        ("GET", "/health", None, 200),
        ("HEAD", "/health", None, 200),
        ("GET", "/ready", None, 200),
        ("GET", "/docs", None, 200),
        ("GET", "/docs/nothing.js", None, 404),
        ("GET", "/problems/nothing", None, 404),
        ("GET", "/openapi.json", None, 401),
        ("GET", "/openapi.json", ADA, 200),
        ("GET", "/openapi.json", OPS, 403),
        ("GET", "/health", "wrong", 200),
    ],
)
def test_a_key_lets_in_where_its_scopes_do(method: str, path: str, key: str | None, status: int) -> None:
    answer = _client(KEYED).simulate_request(method, path, headers=_bearer(key) if key else {})

    assert answer.status_code == status
    if status in (401, 403) and method != "HEAD":
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == status
        assert answer.json["instance"] == path


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {ADA}", f"Bearer {ADA}x", f"Bearer {ADA[:-1]}", ADA, "Bearer é"],
)
def test_what_is_no_key_of_ours_is_401_with_a_challenge(authorization: str) -> None:
    answer = _client(KEYED).simulate_get("/jobs", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.json["type"] == "/problems/unauthorized"
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_without_a_key_the_challenge_says_only_how() -> None:
    answer = _client(KEYED).simulate_get("/jobs")

    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_missing_scope_is_named() -> None:
    answer = _client(KEYED).simulate_post("/jobs/1/cancel", headers=_bearer(ADA))

    assert answer.json["type"] == "/problems/forbidden"
    assert answer.json["detail"] == "This needs a key with the scope operate."
    assert 'scope="operate"' in answer.headers["WWW-Authenticate"]


def test_who_asks_is_whose_key_is_shown_and_anonymous_without_keys() -> None:
    assert _client(KEYED).simulate_get("/jobs", headers={"Authorization": f"bearer  {ADA} "}).json["who"] == "ada"
    assert _client(Settings()).simulate_get("/jobs", headers=_bearer(ADA)).json["who"] == "anonymous"


def test_one_name_may_have_two_keys() -> None:
    second, entry = new_key("ada", "read")
    client = _client(Settings(api_keys=(ADA_ENTRY, entry)))

    assert [client.simulate_get("/jobs", headers=_bearer(key)).json["who"] for key in (ADA, second)] == ["ada", "ada"]
    assert client.simulate_post("/jobs", headers=_bearer(second)).status_code == 403


def test_a_requests_id_comes_back_and_is_what_the_resource_sees() -> None:
    answer = _client(Settings()).simulate_get("/jobs", headers={"X-Request-Id": "order-17/3"})

    assert answer.headers["X-Request-Id"] == answer.json["requestId"] == "order-17/3"


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "tab\tbed", "ü"])
def test_an_id_that_cannot_be_kept_is_replaced(given: str) -> None:
    answer = _client(Settings()).simulate_get("/jobs", headers={"X-Request-Id": given})

    assert str(UUID(answer.headers["X-Request-Id"])) == answer.json["requestId"]


def test_each_request_has_an_id_of_its_own() -> None:
    client = _client(Settings())

    assert len({client.simulate_get("/jobs").headers["X-Request-Id"] for _ in range(10)}) == 10


@pytest.mark.parametrize(("path", "status"), [("/jobs", 200), ("/missing", 404), ("/nowhere", 404), ("/jobs/1/x", 404)])
def test_every_answer_carries_the_security_headers(path: str, status: int) -> None:
    answer = _client(Settings()).simulate_get(path)

    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Request-Id"]


def test_what_the_gate_refuses_carries_them_too() -> None:
    answer = _client(KEYED).simulate_get("/jobs")

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"]


def test_a_page_keeps_its_own_policy() -> None:
    headers = _client(Settings()).simulate_get("/page").headers

    assert headers["Content-Security-Policy"] == "default-src 'self'"


def test_cors_is_off_unless_origins_are_listed() -> None:
    client = _client(Settings())

    answer = client.simulate_get("/jobs", headers={"Origin": SITE})
    asked = client.simulate_options("/jobs", headers={"Origin": SITE, "Access-Control-Request-Method": "GET"})

    assert [name for name in (*answer.headers, *asked.headers) if name.startswith("access-control")] == []
    assert "Vary" not in answer.headers


def test_a_listed_origin_may_read_the_answers_problems_included() -> None:
    client = _client(Settings(api_keys=(ADA_ENTRY,), cors_origins=(SITE,)))

    for headers, status in ((_bearer(ADA), 200), ({}, 401)):
        answer = client.simulate_get("/jobs", headers={"Origin": SITE, **headers})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


def test_another_origin_may_not_and_the_answer_varies_all_the_same() -> None:
    answer = _client(Settings(cors_origins=(SITE,))).simulate_get("/jobs", headers={"Origin": SITE + ".evil.example"})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


def test_a_preflight_is_answered_without_a_key() -> None:
    client = _client(Settings(api_keys=(ADA_ENTRY,), cors_origins=(SITE,)))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    listed = client.simulate_options("/jobs", headers={"Origin": SITE, **asked})
    other = client.simulate_options("/jobs", headers={"Origin": "https://other.example", **asked})

    assert (listed.status_code, listed.content) == (204, b"")
    assert listed.headers["Access-Control-Allow-Origin"] == SITE
    assert "POST" in listed.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Idempotency-Key"} <= set(listed.headers["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://falconframework.org"}, 200),
        ({"Origin": "https://jobs.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": SITE, "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_without_keys_a_page_of_another_site_can_look_but_not_act(headers: dict[str, str], status: int) -> None:
    client = _client(Settings(cors_origins=(SITE,)))

    assert client.simulate_post("/jobs/1/cancel", headers=headers).status_code == status
    assert client.simulate_get("/jobs", headers=headers).status_code == 200


def test_a_body_that_never_begins_is_refused_with_all_headers() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = testing.create_scope(method="POST", path="/jobs")
    asyncio.run(App(Gate(Settings()))(scope, receive, send))

    assert sent[0]["status"] == 400
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
