"""Keys: how they are made, kept and read from ``API_KEYS``."""

import pytest

from jobplatform.__main__ import main
from jobplatform.api_key import digest_of, new_key, parse_api_keys
from jobplatform.errors import SettingsError
from jobplatform.settings import read_settings

DIGEST = "0123456789abcdef" * 4
OTHER = "f" * 64


def test_entries_are_read_with_their_names_scopes_and_digests() -> None:
    ada, ci = parse_api_keys(f" ada:submit+read:{DIGEST} , ci.bot@x:operate:{OTHER.upper()}, ")

    assert (ada.name, ada.scopes, ada.digest.hex()) == ("ada", frozenset({"submit", "read"}), DIGEST)
    assert (ci.name, ci.scopes, ci.digest.hex()) == ("ci.bot@x", frozenset({"operate"}), OTHER)


def test_a_new_key_fits_its_entry_and_no_two_are_alike() -> None:
    key, entry = new_key("ada", "read,submit")

    assert str(entry) == f"ada:submit+read:{digest_of(key.encode()).hex()}"
    assert parse_api_keys(str(entry)) == (entry,)
    assert new_key("ada", "read")[0] != key


@pytest.mark.parametrize(
    "value",
    [
        ",",
        "ada",
        f"ada:{DIGEST}",
        f":read:{DIGEST}",
        f"a b:read:{DIGEST}",
        f"anonymous:read:{DIGEST}",
        f"ada::{DIGEST}",
        f"ada:write:{DIGEST}",
        f"ada:read+:{DIGEST}",
        "ada:read:00",
        f"ada:read:{DIGEST[:-1]}g",
        f"ada:read:{DIGEST}:x",
        f"ada:read:{DIGEST},bob:read:{DIGEST}",
    ],
)
def test_a_wrong_entry_is_one_line_that_repeats_no_secret(value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({"API_KEYS": value})

    assert str(raised.value).startswith("API_KEYS must be name:scope+scope:sha256 of each key: ")
    assert "\n" not in str(raised.value)
    assert DIGEST not in str(raised.value)


def test_the_command_prints_a_key_once_and_the_entry_that_lets_it_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "ada", "submit+read"]) == 0

    key, entry = (line.split()[-1] for line in capsys.readouterr().out.splitlines())
    assert parse_api_keys(entry)[0].digest == digest_of(key.encode())


def test_the_command_says_what_each_scope_lets_one_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["key", "--help"])

    said = capsys.readouterr().out
    assert "  read      see jobs" in said
    assert "  operate   cancel and retry jobs" in said


def test_the_command_refuses_what_could_not_be_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "ada", "everything"]) == 1

    assert "has scopes other than submit, read, operate" in capsys.readouterr().err
