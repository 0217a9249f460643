"""The environment, read in one place into one frozen `Settings`. Nothing else reads it."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dotenv import dotenv_values

from jobplatform.api_key import ApiKey, parse_api_keys
from jobplatform.errors import SettingsError

_MINUTES: Final = 60_000
_RATE: Final = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _address(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        try:
            parts = urlsplit(value.strip())
        except ValueError:  # whose words repeat the address, with the password in it
            raise ValueError("must be an address, and is none") from None
        if parts.scheme not in schemes or not (parts.hostname or parts.path.strip("/")):
            raise ValueError(f"must be an address that begins with {' or '.join(f'{s}://' for s in schemes)}")
        try:
            _ = parts.port
        except ValueError:
            if "," not in parts.netloc:  # Postgres takes several hosts, each with its port
                raise ValueError("has a port that is no number") from None
        return value.strip()

    return parse


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(value: str) -> int:
        # Bounded before it is read: Python itself refuses to read thousands of digits, in words of its own.
        number = int(value) if value.strip().removeprefix("-").isdecimal() and len(value) < 30 else None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
            raise ValueError(f"must be a whole number {bounds}")
        return number

    return parse


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names or not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("must be one or more names of Python modules, separated by commas")
    return names


def _yes_or_no(value: str) -> bool:
    try:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.strip().lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def _rate(value: str) -> str:
    if not _RATE.fullmatch(value.strip()):
        raise ValueError("must be a number of requests per second, minute, hour or day, such as 100/second")
    return value.strip()


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip())
    if not origins or not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be one or more origins such as https://example.org:8443, separated by commas")
    return origins


def _setting(variable: str, default: Any, parse: Callable[[str], Any], *, secret: bool = False) -> Any:
    return field(default=default, metadata={"variable": variable, "parse": parse, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set, each with the environment variable that sets it. Durations are milliseconds."""

    #: Postgres. Empty: `python -m jobplatform up` brings its own.
    database_url: str = _setting("DATABASE_URL", "", _address("postgresql", "postgres"), secret=True)
    #: Redis, or a server that speaks its protocol. Empty: `up` brings its own.
    redis_url: str = _setting("REDIS_URL", "", _address("redis", "rediss", "unix"), secret=True)
    #: Where the API listens.
    host: str = _setting("HOST", "127.0.0.1", _text)
    port: int = _setting("PORT", 3000, _whole(1, 65_535))
    #: The server that EMAIL_SEND sends through: smtp:// (STARTTLS when offered) or smtps://, with user:password@.
    smtp_url: str = _setting("SMTP_URL", "smtp://localhost:1025", _address("smtp", "smtps"), secret=True)
    #: The sender of an e-mail that names none.
    email_from: str = _setting("EMAIL_FROM", "jobs@localhost", _text)
    #: Where `up` catches mail while SMTP_URL is unset, and where it shows them.
    mail_port: int = _setting("MAIL_PORT", 1025, _whole(1, 65_535))
    mail_page_port: int = _setting("MAIL_PAGE_PORT", 8025, _whole(1, 65_535))
    #: The folder for the files that jobs make. API and workers must see the same one.
    output_dir: str = _setting("OUTPUT_DIR", "./output", _text)
    #: The modules that declare actors.
    actors: tuple[str, ...] = _setting("ACTORS", ("actors",), _names)
    #: The largest payload of one job over REST, in bytes.
    max_payload_bytes: int = _setting("MAX_PAYLOAD_BYTES", 1_048_576, _whole(1))
    #: The largest body of a batch, in bytes.
    max_body_bytes: int = _setting("MAX_BODY_BYTES", 33_554_432, _whole(1))
    #: How long the jobs of a request are remembered under its Idempotency-Key.
    idempotency_ttl: int = _setting("IDEMPOTENCY_TTL", 24 * 60 * _MINUTES, _whole(60_000))
    #: Who may do what, by the SHA-256 of their keys. None: no key is asked for.
    api_keys: tuple[ApiKey, ...] = _setting("API_KEYS", (), parse_api_keys, secret=True)
    #: Says that an API without keys may listen beyond loopback.
    allow_anonymous: bool = _setting("ALLOW_ANONYMOUS", False, _yes_or_no)
    #: How many requests one key, or one address without keys, may send. Empty: as many as it likes.
    rate_limit: str = _setting("RATE_LIMIT", "", _rate)
    #: The web pages of other origins that may call the API.
    cors_origins: tuple[str, ...] = _setting("CORS_ORIGINS", (), _origins)

    #: Where the command line finds the API, and the key that it shows. Empty: at HOST and PORT, and none.
    api_url: str = _setting("API_URL", "", _address("http", "https"))
    api_key: str = _setting("API_KEY", "", str.strip)

    #: How often an actor that fails is run again, unless it says so itself.
    max_retries: int = _setting("MAX_RETRIES", 3, _whole(0))
    #: The pause before the first retry; it doubles with each further one, with jitter.
    min_backoff: int = _setting("MIN_BACKOFF", 1_000, _whole(1))
    max_backoff: int = _setting("MAX_BACKOFF", 10 * _MINUTES, _whole(1))
    #: How long one attempt may take.
    time_limit: int = _setting("TIME_LIMIT", 10 * _MINUTES, _whole(1))
    #: How often the keeper looks for due jobs and lost hints.
    keeper_tick: int = _setting("KEEPER_TICK", 1_000, _whole(10))
    #: How long a job may be missing from Redis before its hint is sent again.
    resend_grace: int = _setting("RESEND_GRACE", 10_000, _whole(100))
    #: How long a worker may be without its lock and without a beat before it counts as dead.
    death_after: int = _setting("DEATH_AFTER", 3_000, _whole(1_000))
    #: How long a worker may be without a beat, though it has its lock, before it counts as frozen.
    frozen_after: int = _setting("FROZEN_AFTER", 10 * _MINUTES, _whole(5_000))
    #: How many deaths of its worker a job may cause.
    crash_limit: int = _setting("CRASH_LIMIT", 3, _whole(1))
    #: How long a stopping worker lets its jobs run before it interrupts them.
    shutdown_grace: int = _setting("SHUTDOWN_GRACE", 30_000, _whole(0))
    #: How long a submit waits for Postgres before it answers 503.
    submit_timeout: int = _setting("SUBMIT_TIMEOUT", 1_500, _whole(100))

    @property
    def loopback_only(self) -> bool:
        """Whether the API listens where only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_settings(environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """Read the settings from an environment (default: this process's), over those of an ``.env`` file.

    An empty value counts as unset.

    Raises:
        SettingsError: one line that names the variable, what it must be, and its value unless that may be a secret.
    """
    given = {
        **(dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}),
        **(os.environ if environment is None else environment),
    }
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        variable = setting.metadata["variable"]
        if value := given.get(variable):
            try:
                values[setting.name] = setting.metadata["parse"](value)
            except ValueError as error:
                said = "" if setting.metadata["secret"] else f" is {value!r}: it"
                raise SettingsError(f"{variable}{said} {error}.") from None
    return Settings(**values)


@cache
def settings() -> Settings:
    """The settings of this process: its environment over the ``.env`` file of its working folder."""
    return read_settings(env_file=Path(".env"))
