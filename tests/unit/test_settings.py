"""The environment as settings: each checked, each fault one clear line."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplatform.errors import SettingsError
from jobplatform.settings import Settings, read_settings


def test_the_defaults_are_those_of_the_contract() -> None:
    given = read_settings({})

    assert (given.host, given.port, given.smtp_url, given.output_dir, given.actors) == (
        "127.0.0.1",
        3000,
        "smtp://localhost:1025",
        "./output",
        ("actors",),
    )
    assert (given.max_payload_bytes, given.max_body_bytes) == (1_048_576, 33_554_432)
    assert (given.max_retries, given.min_backoff, given.max_backoff) == (3, 1_000, 600_000)
    assert (given.time_limit, given.keeper_tick, given.resend_grace) == (600_000, 1_000, 10_000)
    assert (given.database_url, given.redis_url, given.api_keys, given.allow_anonymous) == ("", "", (), False)


@pytest.mark.parametrize(
    ("variable", "value", "field", "meaning"),
    [
        ("DATABASE_URL", "postgresql://u:p@h:1/d", "database_url", "postgresql://u:p@h:1/d"),
        ("DATABASE_URL", "postgres:///d?host=/tmp", "database_url", "postgres:///d?host=/tmp"),
        ("REDIS_URL", "rediss://h:1/2", "redis_url", "rediss://h:1/2"),
        ("REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
        ("PORT", " 8080 ", "port", 8080),
        ("ACTORS", "mine, other.jobs ,", "actors", ("mine", "other.jobs")),
        ("ALLOW_ANONYMOUS", "True", "allow_anonymous", True),
        ("ALLOW_ANONYMOUS", "no", "allow_anonymous", False),
        ("MAX_RETRIES", "0", "max_retries", 0),
        ("RATE_LIMIT", " 100/second ", "rate_limit", "100/second"),
        (
            "CORS_ORIGINS",
            "https://A.example:8443/, http://[::1]",
            "cors_origins",
            ("https://a.example:8443", "http://[::1]"),
        ),
        ("HOST", "", "host", "127.0.0.1"),
    ],
)
def test_a_variable_sets_its_setting(variable: str, value: str, field: str, meaning: object) -> None:
    assert getattr(read_settings({variable: value}), field) == meaning


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_URL", "localhost:3000"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("PORT", "²"),
        ("MAX_RETRIES", "-1"),
        ("MAX_RETRIES", "--1"),
        ("MAX_RETRIES", "9" * 5_000),
        ("KEEPER_TICK", "1"),
        ("RESEND_GRACE", "soon"),
        ("ACTORS", ","),
        ("ACTORS", "mine/jobs"),
        ("ALLOW_ANONYMOUS", "perhaps"),
        ("HOST", "  "),
        ("RATE_LIMIT", "100"),
        ("RATE_LIMIT", "0/second"),
        ("RATE_LIMIT", "5/fortnight"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/path"),
        ("CORS_ORIGINS", "null"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_variable_value_and_what_it_must_be(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({variable: value})

    assert str(raised.value).startswith(f"{variable} is {value!r}: it must ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("DATABASE_URL", "mysql://h/d", "must be an address that begins with postgresql:// or postgres://"),
        ("DATABASE_URL", "postgresql://", "must be an address that begins with postgresql:// or postgres://"),
        ("DATABASE_URL", "mysql://jobs:secret@h/d", "must be an address that begins with postgresql:// or postgres://"),
        ("DATABASE_URL", "jobs:secret@h/d?password=secret", "must be an address that begins with postgresql://"),
        ("DATABASE_URL", "postgresql://jobs:secret@h:port/d", "has a port that is no number"),
        ("DATABASE_URL", "postgresql://jobs:secret\u2100@h/d", "must be an address, and is none"),
        ("DATABASE_URL", "postgresql://jobs:secret@[h/d", "must be an address, and is none"),
        ("REDIS_URL", "localhost:6379", "must be an address that begins with redis:// or rediss:// or unix://"),
        ("REDIS_URL", "http://:secret@h", "must be an address that begins with redis://"),
        ("SMTP_URL", "mail://me:secret@h", "must be an address that begins with smtp:// or smtps://"),
    ],
)
def test_of_a_wrong_address_the_fault_is_told_and_never_the_password(variable: str, value: str, fault: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({variable: value})

    assert str(raised.value).startswith(f"{variable} {fault}")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.sampled_from([f.metadata["variable"] for f in Settings.__dataclass_fields__.values()]), st.text())
def test_no_value_of_any_variable_is_worse_than_a_settings_error(variable: str, value: str) -> None:
    with suppress(SettingsError):
        assert read_settings({variable: value})


def test_the_environment_beats_the_file_and_an_empty_value_counts_as_unset(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1111\nHOST=10.0.0.1\nEMAIL_FROM='a b@example.org'\n")

    given = read_settings({"PORT": "2222", "HOST": ""}, file)

    assert given.port == 2222
    assert given.email_from == "a b@example.org"
    assert read_settings({}, tmp_path / "none").port == 3000


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),  # noqa: S104
     ("::", False), ("example.org", False)],
)  # fmt: skip
def test_only_an_address_of_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).loopback_only is loopback
