"""The systemd units run what the compose file runs, and stop it as gently."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.services.compose import read_compose

ROOT = Path(__file__).parents[2]
SERVICES = read_compose(ROOT / "docker-compose.yml")
BIN = "/opt/jobplatform/.venv/bin/"

both = pytest.mark.parametrize("name", ["api", "worker"])


@both
def test_a_unit_runs_the_commands_of_its_compose_service(name: str) -> None:
    unit = _unit(name)
    commands = [unit["ExecStartPre"].removeprefix(BIN), "exec " + unit["ExecStart"].removeprefix(BIN)]

    assert (SERVICES[name].command or [])[-1].split(" && ") == commands


@both
def test_a_unit_signals_the_main_process_only_and_waits_as_long_as_compose(name: str) -> None:
    unit = _unit(name)

    assert unit["KillMode"] == "mixed"
    assert unit["TimeoutStopSec"] + "s" == SERVICES[name].described["stop_grace_period"]


@both
def test_a_unit_starts_again_for_ever(name: str) -> None:
    assert _unit(name)["Restart"] == "always"
    assert _unit(name, "Unit")["StartLimitIntervalSec"] == "0"


@both
def test_a_unit_may_write_where_jobs_make_their_files_and_nowhere_else(name: str) -> None:
    unit = _unit(name)
    output = re.search(r"OUTPUT_DIR=/var/lib/(\S+)", unit["Environment"])

    assert output is not None
    assert output[1] in unit["StateDirectory"].split()
    assert unit["ProtectSystem"] == "strict"


def _unit(name: str, section: str = "Service") -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "deploy" / f"jobplatform-{name}.service")
    return dict(parser[section])
