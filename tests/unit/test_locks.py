"""The image's lock files hold the same packages as requirements.lock, to the hash."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _pinned(name: str) -> dict[str, set[str]]:
    """Each package with its version, and its hashes. For which platforms it is, each lock says for itself."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^(\S+==\S+)(?: ; .*?)? \\\n((?: +--hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    return {requirement: set(re.findall(r"--hash=(\S+)", hashes)) for requirement, hashes in found}


@pytest.mark.parametrize("lock", ["requirements.runtime.lock", "requirements.build.lock"])
def test_the_image_gets_what_was_tested(lock: str) -> None:
    tested = _pinned("requirements.lock")

    assert _pinned(lock) != {}
    assert {name: hashes for name, hashes in _pinned(lock).items() if tested.get(name) != hashes} == {}


def test_the_runtime_lock_has_all_dependencies_and_nothing_for_tests() -> None:
    names = _names("requirements.runtime.lock")

    assert {re.split(r"[\[=]", dependency)[0] for dependency in PROJECT["project"]["dependencies"]} <= names
    assert names & {re.split(r"[\[=]", dependency)[0] for dependency in PROJECT["dependency-groups"]["dev"]} == set()


def test_the_build_lock_has_the_build_tools() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= _names("requirements.build.lock")


def _names(lock: str) -> set[str]:
    return {requirement.partition("==")[0] for requirement in _pinned(lock)}
