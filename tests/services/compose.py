"""Reads a docker-compose.yml: its services as Compose sees them, with the variables filled in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Port:
    """One published port."""

    address: str
    outside: int
    inside: int


@dataclass(frozen=True)
class Service:
    """One service of the file."""

    name: str
    described: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.described.get("environment", {}).items()}

    @property
    def command(self) -> list[str] | None:
        """None: the image's own."""
        return self.described.get("command")

    @property
    def health_check(self) -> list[str] | None:
        """The words after CMD; None: the image's own."""
        if (test := self.described.get("healthcheck", {}).get("test")) is None:
            return None
        assert test[0] == "CMD", "This reader knows only the exec form."
        return list(test[1:])

    @property
    def ports(self) -> list[Port]:
        described = [("0.0.0.0", *port.split(":"))[-3:] for port in self.described.get("ports", [])]  # noqa: S104
        return [Port(address, int(outside), int(inside)) for address, outside, inside in described]

    @property
    def mounts(self) -> dict[str, str]:
        """Where in the container is what of the host, or which volume."""
        return {target: source for source, target, *_ in (line.split(":") for line in self.described["volumes"])}

    @property
    def needs(self) -> dict[str, str]:
        """The services that it waits for, and for what."""
        return {name: how["condition"] for name, how in self.described.get("depends_on", {}).items()}


def read_compose(file: Path, variables: Mapping[str, str] | None = None) -> dict[str, Service]:
    """The services by name; the variables are those of the shell and the .env file."""
    described = _filled_in(yaml.safe_load(file.read_text()), variables or {})
    return {name: Service(name, service) for name, service in described["services"].items()}


def _filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, variables) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\})", lambda found: _value_of(found, variables), value)
    return value


def _value_of(found: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, default = found.groups()
    return dollar or variables.get(name) or default or ""
