"""Dockerfile, .dockerignore and docker-compose.yml say what they must, and agree with each other and the checkout."""

import re
import runpy
from pathlib import Path

import pytest

from jobplatform import lifeline
from jobplatform.settings import Settings
from tests.services.compose import Service, read_compose
from tests.services.dockerfile import Ignored, read_dockerfile

ROOT = Path(__file__).parents[2]
SERVICES = read_compose(ROOT / "docker-compose.yml")
STAGES = read_dockerfile(ROOT / "Dockerfile")
FINAL = STAGES[-1]
IGNORED = Ignored(ROOT / ".dockerignore")

both_of_ours = pytest.mark.parametrize("service", [SERVICES["api"], SERVICES["worker"]], ids=["api", "worker"])
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_services_are_the_promised_ones() -> None:
    assert set(SERVICES) == {"api", "worker", "db", "redis", "mailhog"}


def test_every_copied_path_exists_and_enters_the_build() -> None:
    copies = [copy for stage in STAGES for copy in stage.copies if copy.stage is None]
    paths = [source.rstrip("/") for copy in copies for source in copy.sources]

    assert "platform" in paths
    assert [path for path in paths if not (ROOT / path).exists() or path in IGNORED] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".local/password",
        "output/1.csv",
        "api/__pycache__/app.pyc",
        "x/y.pyc",
    ],
)
def test_secrets_and_leftovers_stay_out_of_the_build(path: str) -> None:
    assert path in IGNORED


def test_the_image_runs_as_a_plain_user_of_a_fixed_number() -> None:
    user = FINAL.said["USER"]
    made = re.search(rf"useradd --uid (\d+) [^&]*\b{user}\b", " ".join(FINAL.runs))

    assert made is not None
    assert int(made[1]) > 0
    assert FINAL.said["STOPSIGNAL"] == "SIGTERM"


def test_every_base_image_is_pinned() -> None:
    images = [stage.image for stage in STAGES] + [
        service.described["image"] for service in SERVICES.values() if "image" in service.described
    ]

    assert [image for image in images if not re.search(r":v?\d", image)] == []


def test_ports_are_published_on_loopback_only() -> None:
    ports = {name: service.ports for name, service in SERVICES.items() if service.ports}

    assert {port.address for published in ports.values() for port in published} == {"127.0.0.1"}
    assert {name: [port.outside for port in published] for name, published in ports.items()} == {
        "api": [3000],
        "mailhog": [8025],
    }


def test_the_published_port_leads_to_where_the_api_listens() -> None:
    (port,) = SERVICES["api"].ports

    assert str(port.inside) == SERVICES["api"].environment["PORT"] == FINAL.environment["PORT"] == FINAL.said["EXPOSE"]
    # Of its container, not of this machine.
    assert SERVICES["api"].environment["HOST"] == FINAL.environment["HOST"] == "0.0.0.0"  # noqa: S104


def test_env_moves_the_port_on_this_machine_and_sizes_the_worker() -> None:
    variables = {"PORT": "4000", "WORKER_PROCESSES": "7", "WORKER_THREADS": "9"}

    services = read_compose(ROOT / "docker-compose.yml", variables)

    assert [(port.outside, port.inside) for port in services["api"].ports] == [(4000, 3000)]
    assert "-p 7 -t 9 " in " ".join(services["worker"].command or [])


@both_of_ours
def test_what_env_says_holds_but_for_the_places_inside_the_containers(service: Service) -> None:
    own = {"DATABASE_URL", "REDIS_URL", "SMTP_URL", "HOST", "PORT", "OUTPUT_DIR", "ALLOW_ANONYMOUS"}

    assert service.described["env_file"] == [{"path": ".env", "required": False}]
    assert set(service.environment) == own
    assert own <= {setting.metadata["variable"] for setting in Settings.__dataclass_fields__.values()}


@both_of_ours
def test_api_and_worker_start_when_postgres_and_redis_answer(service: Service) -> None:
    assert service.needs == {"db": "service_healthy", "redis": "service_healthy", "mailhog": "service_started"}


@both_of_ours
def test_api_and_worker_share_the_output_folder_of_the_checkout(service: Service) -> None:
    assert service.mounts == {service.environment["OUTPUT_DIR"]: "./output"}


@each_service
def test_every_service_is_watched_and_started_again(service: Service) -> None:
    watched = service.health_check or (FINAL.health_check() if "build" in service.described else None)

    assert watched
    assert service.described["restart"] == "unless-stopped"


def test_what_must_survive_is_in_volumes() -> None:
    assert SERVICES["db"].mounts["/var/lib/postgresql"] == "db"
    assert SERVICES["redis"].mounts == {"/data": "redis"}


def test_api_and_worker_give_up_before_they_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = re.search(r"--worker-shutdown-timeout (\d+)000\b", " ".join(SERVICES["worker"].command or []))
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/jobs")
    monkeypatch.setenv("REDIS_URL", "redis://redis")
    requests = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["graceful_timeout"]

    assert jobs is not None
    assert Settings().shutdown_grace < int(jobs[1]) * 1000
    assert int(jobs[1]) + lifeline._LAST_WRITES + 5 <= _seconds(SERVICES["worker"])
    assert requests + 5 <= _seconds(SERVICES["api"])


def _seconds(service: Service) -> int:
    return int(service.described["stop_grace_period"].removesuffix("s"))
