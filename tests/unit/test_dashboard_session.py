"""Who may see the dashboard's pages, and whose forms count."""

import asyncio
import time
from typing import Any

import falcon.asgi
import pytest
from falcon import testing

from api.app import App
from api.dashboard.faults import Faults
from api.dashboard.page import Pages
from api.dashboard.session import COOKIE, LIFETIME, Sessions
from api.dashboard.sign_in import SignIn, SignOut
from api.errors import answer_errors
from api.gate import Gate
from api.request import Request
from jobplatform.api_key import ApiKey, digest_of
from jobplatform.settings import Settings

ADA, GRACE, LINUS = "jp_ada-s-key", "jp_grace-s-key", "jp_linus-s-key"
ENTRIES = (
    ApiKey("ada", frozenset({"submit", "read", "operate"}), digest_of(ADA.encode())),
    ApiKey("grace", frozenset({"read"}), digest_of(GRACE.encode())),
    ApiKey("linus", frozenset({"operate"}), digest_of(LINUS.encode())),
)
SAME = {"Origin": "http://falconframework.org", "Content-Type": "application/x-www-form-urlencoded"}


class Secret:
    """Stands for the database, which has one secret here."""

    def __init__(self, value: bytes = b"secret") -> None:
        self._value = value

    def ask(self, *_question: Any) -> "asyncio.Future[bytes]":
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.set_result(self._value)
        return answer


class Echo:
    """Says who is there; a form that is posted to it must be one of ours."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def on_get(self, req: Request, resp: falcon.asgi.Response, **_params: str) -> None:
        me = await self._pages.sessions.of(req)
        resp.media = {"who": req.who, "csrf": me.csrf, "scopes": sorted(me.scopes)}

    async def on_post(self, req: Request, resp: falcon.asgi.Response, **_params: str) -> None:
        form = await self._pages.form(req)
        resp.media = {"who": req.who, "reason": form.reason()}


def _client(*keys: ApiKey, secret: bytes = b"secret") -> testing.TestClient:
    sessions = Sessions(Secret(secret), keys)  # type: ignore[arg-type]
    pages = Pages(sessions)
    faults = Faults(pages)
    app = App(Gate(Settings(api_keys=keys), sessions, faults))
    echo = Echo(pages)
    for path in ("/", "/ui/jobs", "/ui/types/{name}", "/jobs", "/jobs/{job_id}", "/jobs/{job_id}/{what}"):
        app.add_route(path, echo)
    app.add_route("/ui/sign-in", SignIn(pages))
    app.add_route("/ui/sign-out", SignOut(pages))
    answer_errors(app, faults.write)
    return testing.TestClient(app)


def _cookie(client: testing.TestClient, key: str = ADA, **headers: str) -> dict[str, str]:
    answer = client.simulate_post("/ui/sign-in", body=f"key={key}", headers={**SAME, **headers})
    assert answer.status_code == 303, answer.text
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}


def test_without_keys_everybody_may_do_everything() -> None:
    answer = _client().simulate_get("/ui/jobs")

    assert answer.json["who"] == "anonymous"
    assert answer.json["scopes"] == ["operate", "read", "submit"]


def test_without_keys_nobody_is_asked_for_one() -> None:
    answer = _client().simulate_get("/ui/sign-in?next=/ui/jobs")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/jobs")


@pytest.mark.parametrize(
    ("address", "next_address"),
    [
        ("/", "/ui/sign-in"),
        ("/ui/jobs", "/ui/sign-in?next=/ui/jobs"),
        ("/ui/jobs?q=status%3Afailed", "/ui/sign-in?next=/ui/jobs%3Fq%3Dstatus%253Afailed"),
    ],
)
def test_who_is_not_signed_in_is_led_to_the_page_that_asks_for_a_key(address: str, next_address: str) -> None:
    answer = _client(*ENTRIES).simulate_get(address)

    assert (answer.status_code, answer.headers["Location"]) == (303, next_address)


def test_a_script_that_is_not_signed_in_any_more_sends_its_page_there() -> None:
    answer = _client(*ENTRIES).simulate_get("/ui/jobs", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/ui/sign-in")


def test_a_key_is_traded_for_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    client = _client(*ENTRIES)

    answer = client.simulate_post("/ui/sign-in", body=f"key={ADA}&next=%2Fui%2Fjobs", headers=SAME)
    cookie = answer.cookies[COOKIE]

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/jobs")
    assert (cookie.http_only, cookie.same_site, cookie.path, cookie.secure) == (True, "Strict", "/", False)
    assert cookie.max_age == LIFETIME
    assert ADA not in cookie.value
    assert digest_of(ADA.encode()).hex() not in cookie.value
    assert client.simulate_get("/ui/jobs", headers=_cookie(client)).json["who"] == "ada"


def test_behind_tls_the_cookie_is_secure() -> None:
    headers = {**SAME, "X-Forwarded-Proto": "https"}

    answer = _client(*ENTRIES).simulate_post("/ui/sign-in", body=f"key={ADA}", headers=headers)

    assert answer.cookies[COOKIE].secure


@pytest.mark.parametrize("key", ["", "wrong", ADA + "x", LINUS])
def test_what_is_no_key_that_may_read_opens_nothing(key: str) -> None:
    answer = _client(*ENTRIES).simulate_post("/ui/sign-in", body=f"key={key}", headers=SAME)

    assert answer.status_code == 403
    assert COOKIE not in answer.cookies
    assert "no key that may look" in answer.text


@pytest.mark.parametrize(
    "behind", ["//evil.example", "https://evil.example", "/\\evil.example", "ui/jobs", "/a%0d%0ab"]
)
def test_signing_in_leads_to_no_other_host(behind: str) -> None:
    answer = _client(*ENTRIES).simulate_post("/ui/sign-in", body=f"key={ADA}&next={behind}", headers=SAME)

    assert answer.headers["Location"] == "/"


def test_signing_in_leads_to_an_address_of_any_letters() -> None:
    body = f"key={ADA}&next=%2Fui%2Fjobs%3Fq%3D%E2%82%AC+%C3%BC%2525"
    answer = _client(*ENTRIES).simulate_post("/ui/sign-in", body=body, headers=SAME)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/jobs?q=%E2%82%AC%20%C3%BC%25")


def test_a_cookie_is_for_pages_and_what_they_link_to_and_for_no_other_call() -> None:
    client = _client(*ENTRIES)
    cookie = _cookie(client)
    job = "/jobs/01a20be6-a107-75d2-ae50-7bc953d8e0b0"

    for path in (job, f"{job}/output", f"{job}/events", f"{job}/payloads"):
        assert client.simulate_get(path, headers=cookie).json["who"] == "ada"
        assert client.simulate_get(path).status_code == 401
        assert client.simulate_post(path, headers={**cookie, **SAME}).status_code == 401
    for what in ("explain", "logs", "cancel", "retry", ""):
        assert client.simulate_get(f"{job}/{what}", headers=cookie).status_code == 401
        assert client.simulate_post(f"{job}/{what}", headers={**cookie, **SAME}).status_code == 401
    assert client.simulate_get("/jobs", headers=cookie).status_code == 401
    assert client.simulate_post("/jobs", headers=cookie).status_code == 401


def test_a_session_ends_with_its_key_its_time_and_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = _cookie(_client(*ENTRIES))
    renamed = ApiKey("eve", ENTRIES[0].scopes, ENTRIES[0].digest)

    def asked(client: testing.TestClient) -> int:
        return client.simulate_get("/ui/jobs", headers=cookie).status_code

    assert asked(_client(*ENTRIES)) == 200
    assert asked(_client(*ENTRIES[1:])) == 303
    assert asked(_client(renamed)) == 303
    assert asked(_client(*ENTRIES, secret=b"another")) == 303
    now = time.time()
    monkeypatch.setattr("api.dashboard.session.time.time", lambda: now + LIFETIME + 1)
    assert asked(_client(*ENTRIES)) == 303


@pytest.mark.parametrize("value", ["", ".", "a.b", "W10.W10", "é.é", "x" * 600, "bnVsbA." + "A" * 43])
def test_what_is_no_cookie_of_ours_opens_nothing(value: str) -> None:
    headers = {"Cookie": f"{COOKIE}={value}"}

    assert _client(*ENTRIES).simulate_get("/ui/jobs", headers=headers).status_code == 303


def test_a_changed_cookie_opens_nothing() -> None:
    client = _client(*ENTRIES)
    value = _cookie(client, GRACE)["Cookie"].partition("=")[2]
    text, _, signature = value.partition(".")
    ada, _, _ = _cookie(client, ADA)["Cookie"].partition("=")[2].partition(".")

    for forged in (f"{ada}.{signature}", f"{text}.{signature[:-2]}AA", f"{text}."):
        assert client.simulate_get("/ui/jobs", headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 303


def test_a_form_counts_with_its_token_from_the_same_origin_only() -> None:
    client = _client(*ENTRIES)
    cookie = _cookie(client)
    token = client.simulate_get("/ui/jobs", headers=cookie).json["csrf"]
    other = client.simulate_get("/ui/jobs", headers=_cookie(client, GRACE)).json["csrf"]

    def post(body: str, **headers: str) -> int:
        return client.simulate_post("/ui/jobs", body=body, headers={**SAME, **cookie, **headers}).status_code

    assert post(f"csrf={token}&reason=why") == 200
    assert post("reason=why") == 403
    assert post(f"csrf={other}") == 403
    assert post(f"csrf={token}", Origin="https://evil.example") == 403
    assert post(f"csrf={token}", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert post(f"csrf={token}", Origin="null") == 403
    assert post(f"csrf={token}", **{"Content-Type": "text/plain"}) == 415


def test_without_keys_a_form_needs_its_token_all_the_same() -> None:
    client = _client()
    token = client.simulate_get("/ui/jobs").json["csrf"]

    assert client.simulate_post("/ui/jobs", body=f"csrf={token}", headers=SAME).json["who"] == "anonymous"
    assert client.simulate_post("/ui/jobs", body="", headers=SAME).status_code == 403
    assert client.simulate_post("/ui/jobs", body=f"csrf={token}", headers={**SAME, "Origin": "null"}).status_code == 403


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/ui/jobs", GRACE, 403), ("/ui/types/X", GRACE, 403), ("/ui/jobs", ADA, 200), ("/ui/types/X", ADA, 200)],
)
def test_a_key_without_the_scope_can_look_and_not_act(path: str, key: str, status: int) -> None:
    client = _client(*ENTRIES)
    cookie = _cookie(client, key)
    token = client.simulate_get(path, headers=cookie).json["csrf"]

    answer = client.simulate_post(path, body=f"csrf={token}", headers={**SAME, **cookie})

    assert answer.status_code == status
    if status == 403:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "scope" in answer.text


def test_signing_out_takes_the_cookie_away() -> None:
    client = _client(*ENTRIES)
    cookie = _cookie(client, GRACE)
    token = client.simulate_get("/ui/jobs", headers=cookie).json["csrf"]

    answer = client.simulate_post("/ui/sign-out", body=f"csrf={token}", headers={**SAME, **cookie})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/sign-in")
    assert answer.cookies[COOKIE].value == ""


def test_errors_are_pages_where_people_are_with_a_policy_and_escaped() -> None:
    answer = _client().simulate_get("/ui/<script>")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "<script>" not in answer.text
