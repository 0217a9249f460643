"""Every setting is explained in docs/configuration.md and listed in .env.example, and nothing else is."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jobplatform.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
SETTINGS = {setting.metadata["variable"]: setting for setting in fields(Settings)}
#: Read by gunicorn.conf.py and by docker-compose.yml.
OTHERS = {"WEB_CONCURRENCY", "WORKER_PROCESSES", "WORKER_THREADS"}
ENV_EXAMPLE = ROOT / ".env.example"


def test_env_example_lists_every_variable_once_and_no_other() -> None:
    listed = [variable for variable, _ in _listed()]

    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == set(SETTINGS) | OTHERS


def test_a_copied_env_example_changes_nothing() -> None:
    assert read_settings({}, ENV_EXAMPLE) == Settings()


def test_what_env_example_shows_is_the_default() -> None:
    shown = {name: value for name, value in _listed() if name not in {"DATABASE_URL", "REDIS_URL"}}

    assert read_settings(shown) == Settings()


def test_postgres_and_redis_are_commented_so_that_make_run_brings_its_own() -> None:
    lines = ENV_EXAMPLE.read_text().splitlines()

    assert [line for line in lines if line.startswith(("DATABASE_URL", "REDIS_URL"))] == []


def test_configuration_explains_every_variable_and_no_other() -> None:
    assert set(_rows()) == set(SETTINGS) | OTHERS


@pytest.mark.parametrize("variable", SETTINGS)
def test_configuration_gives_the_default(variable: str) -> None:
    shown = _as_written(SETTINGS[variable].default)

    assert _rows()[variable].startswith(f"`{shown}`" if shown else "none")


def test_others_are_read_where_they_are_said_to_be() -> None:
    text = (ROOT / "gunicorn.conf.py").read_text() + (ROOT / "docker-compose.yml").read_text()

    assert [variable for variable in OTHERS if variable not in text] == []


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _listed() -> list[tuple[str, str]]:
    return re.findall(r"^(?:# )?([A-Z][A-Z_]*)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE)


def _rows() -> dict[str, str]:
    """What stands beside each variable in the tables."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*)$", text, re.MULTILINE))
