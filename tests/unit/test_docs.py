"""The documents say what the code says: names, routes, links and examples."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml

from api.app import create_app
from api.failures import FailureGroup
from api.measured import Measured
from api.problems import KINDS
from api.queues import QueueView
from api.views import EventView, JobView
from api.workers import RunningJob, Worker
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.outcome import Kind
from jobplatform.queries.keepers import KeepersRow
from jobplatform.reader import Reader
from jobplatform.settings import Settings
from jobplatform.states import FINAL, TRANSITIONS, Event, Status
from tests.services.calls import calls

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LIFECYCLE = (DOCS / "lifecycle.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(
    page
    for folder, pattern in ((ROOT, "*.md"), (DOCS, "**/*.md"), (ROOT / "deploy", "**/*.md"))
    for page in folder.glob(pattern)
)
#: What the table of events writes for "the job did not exist".
NOTHING = "∅"


def test_lifecycle_gives_each_event_with_exactly_its_legal_pairs() -> None:
    told = {event: _pairs(cells[0]) for event, *cells in _table(LIFECYCLE, "event")}

    assert told == {str(event): set(pairs) for event, pairs in TRANSITIONS.items()}


def test_lifecycle_explains_each_status() -> None:
    explained = [status for status, *_ in _table(LIFECYCLE, "status")]

    assert explained == [str(status) for status in Status]


def test_lifecycle_calls_final_what_is_final() -> None:
    final = {Status(status) for status, meaning, *_ in _table(LIFECYCLE, "status") if meaning.startswith("final:")}

    assert final == FINAL


def test_lifecycle_draws_every_change_of_status_and_no_other() -> None:
    drawn = set(re.findall(r"^ {4}(\S+) --> (\w+): (\w+)$", LIFECYCLE, re.MULTILINE))

    assert drawn == {
        (before or "[*]", after, event)
        for event, pairs in TRANSITIONS.items()
        for before, after in pairs
        if before != after
    }


def test_lifecycle_explains_each_kind_of_error() -> None:
    explained = [kind for kind, *_ in _table(LIFECYCLE, "kind")]

    assert sorted(explained) == sorted(get_args(Kind))


def test_lifecycle_shows_only_lives_that_the_machine_allows() -> None:
    steps = re.findall(r"^(\w+) +(∅|\w+) → (\w+) +\d", LIFECYCLE, re.MULTILINE)

    illegal = [step for step in steps if (_status(step[1]), step[2]) not in TRANSITIONS[Event(step[0])]]

    assert len(steps) > 20
    assert illegal == []


def test_glossary_defines_each_word_once() -> None:
    words = [word for word, *_ in _rows((DOCS / "glossary.md").read_text("utf-8"))][1:]

    assert words == sorted(set(words))


def test_protocol_has_every_rule_that_the_code_names() -> None:
    sources = [path for folder in ("platform", "api", "actors", "tests") for path in (ROOT / folder).rglob("*.py")]
    named = {rule for path in sources for rule in re.findall(r"\bP[1-9]\d?\b", path.read_text("utf-8"))}
    explained = re.findall(r"^\| (P\d+)\b", (DOCS / "protocol.md").read_text("utf-8"), re.MULTILINE)

    assert explained == [f"P{number}" for number in range(1, 28)]
    assert named - set(explained) == set()


def test_how_it_works_has_every_module_of_the_engine() -> None:
    rooms = (DOCS / "how-it-works.md").read_text("utf-8").partition("## The rooms")[2].partition("\n## ")[0]
    explained = {name for module, *_ in _table(rooms, "module") for name in re.findall(r"\w+", module)}
    modules = {path.parent.name if path.stem == "__init__" else path.stem for path in _engine()}

    assert sorted(modules - explained - {"jobplatform"}) == []


def test_problems_explains_each_type_of_problem() -> None:
    explained = set(re.findall(r"^## ([a-z-]+)$", (DOCS / "problems.md").read_text("utf-8"), re.MULTILINE))

    assert explained == {kind.name for kind in KINDS}


def test_http_lists_the_routes_of_the_app() -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1")
    app = create_app(JobBroker(settings), Reader(), Inquiries(), settings)
    listed = re.findall(r"^\| `([A-Z]+) (/[^`?]*)` \|", (DOCS / "http.md").read_text("utf-8"), re.MULTILINE)

    assert {(method, path.replace("{id}", "{job_id}")) for method, path in listed} == set(calls(app))


@pytest.mark.parametrize(
    ("view", "behind"),
    [
        (JobView, "## Looking at a job"),
        (EventView, "`GET /jobs/{id}/events` lists"),
        (Worker, "- `GET /workers`:"),
        (RunningJob, "- `GET /workers`:"),
        (QueueView, "- `GET /queues`:"),
        (FailureGroup, "- `GET /failures`:"),
    ],
)
def test_http_shows_all_members_of_what_is_answered(view: type[msgspec.Struct], behind: str) -> None:
    shown = re.match(r"[^{]*(.+?})[`\n]", (DOCS / "http.md").read_text("utf-8").partition(behind)[2], re.DOTALL)
    assert shown
    members = {field.encode_name for field in msgspec.structs.fields(view)}

    assert members - set(re.findall(r'"(\w+)"', shown[1])) == set()


def test_http_lists_each_metric_with_its_labels() -> None:
    told = {
        name: frozenset(labels.replace("`", "").split(", ")) - {""}
        for name, labels, *_ in _table((DOCS / "http.md").read_text("utf-8"), "metric")
    }

    assert told == _metrics()


def test_alerts_ask_for_metrics_and_labels_that_there_are() -> None:
    (rules,) = _blocks((DOCS / "operations.md").read_text("utf-8"), "yaml")[-1:]
    expressions = [rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    metrics = _metrics()

    asked = re.findall(r"(jobplatform_\w+)(?:\{(\w+)=)?", "\n".join(expressions))

    assert len(expressions) > 5
    assert [(name, label) for name, label in asked if name not in metrics or not {label} - {""} <= metrics[name]] == []


def test_the_configuration_of_prometheus_in_the_docs_is_yaml_and_shows_a_key() -> None:
    (text,) = _blocks((DOCS / "http.md").read_text("utf-8"), "yaml")
    (scraped,) = yaml.safe_load(text)["scrape_configs"]

    assert scraped["metrics_path"] == "/metrics"
    assert scraped["authorization"]["type"] == "Bearer"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = [link for link in _links(page.read_text("utf-8")) if not _leads_somewhere(page, link)]

    assert dead == []


def test_every_page_is_linked_from_the_index() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _links(index.read_text("utf-8"))}

    assert [page.name for page in DOCS.glob("**/*.md") if page != index and page.resolve() not in linked] == []


def test_decisions_are_numbered_once_and_titled_by_their_number() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [int(decision.name[:4]) for decision in decisions]
    titled = [int(decision.read_text("utf-8").removeprefix("# ").partition(".")[0]) for decision in decisions]

    assert titled == numbers
    assert sorted(set(numbers)) == numbers


def test_make_targets_that_are_mentioned_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    mentioned = {
        target
        for page in PAGES
        for code in _code(page.read_text("utf-8"))
        for target in re.findall(r"\bmake (?:-C \S+ )?([a-z][a-z-]*)", code)
    }

    assert {"run", "demo", "test", "lint"} <= mentioned
    assert mentioned - targets == set()


def test_commands_that_are_mentioned_exist() -> None:
    told = subprocess.run([sys.executable, "-m", "jobplatform", "--help"], capture_output=True, text=True, check=True)
    mentioned = {
        command for page in PAGES for command in re.findall(r"-m jobplatform ([a-z]+)", page.read_text("utf-8"))
    }

    assert {"migrate", "keeper", "up"} <= mentioned
    assert [command for command in mentioned if not re.search(rf"^ +{command} ", told.stdout, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_the_docs_compiles(page: Path) -> None:
    for code in _blocks(page.read_text("utf-8"), "python"):
        assert compile(code, str(page), "exec") is not None


def test_the_actor_in_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (code,) = _blocks(README, "python")
    (tmp_path / "greetings.py").write_text(code, "utf-8")
    asked = (
        "import greetings, json; from jobplatform.broker import broker;"
        "print(json.dumps([greetings.greeting(name='Ada'), broker.types['GREETING'].signature.schema()['required']]))"
    )

    said = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": "", "REDIS_URL": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert msgspec.json.decode(said.stdout) == [{"text": "Hello Ada"}, ["name"]]


def test_the_readme_and_the_changelog_name_the_version() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)

    assert f"version {version}" in README
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def _metrics() -> dict[str, frozenset[str]]:
    """The labels of each metric that the API shows."""
    queue = QueueView("default", 0, 0, None, 0.5, False, None, None, None, 0, 0)
    look = Measured(["PROBE"], {}, [queue], [], KeepersRow(None, 0, 0, 0), True)
    return {sample.name: frozenset(sample.labels) for metric in look.collect() for sample in metric.samples}


def _engine() -> Iterator[Path]:
    """The engine's modules, and of its packages the first file."""
    engine = ROOT / "platform" / "jobplatform"
    yield from engine.glob("*.py")
    yield from engine.glob("*/__init__.py")


def _rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables, cell by cell, without the marks of code."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _table(text: str, head: str) -> Iterator[list[str]]:
    """The rows of the table whose first column has this head."""
    within = False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
        elif line.startswith(f"| {head} |"):
            within = True
        elif within and not line.startswith("|-"):
            yield from _rows(line)


def _pairs(cell: str) -> set[tuple[str | None, str]]:
    """``a, b → c`` as its pairs. Where there are several arrows, each has its own: ``a → a, b → b``."""
    if cell.count("→") > 1:
        return {pair for part in cell.split(", ") for pair in _pairs(part)}
    before, _, after = cell.partition(" → ")
    return {(_status(status), after) for status in before.split(", ")}


def _status(word: str) -> str | None:
    return None if word == NOTHING else word


def _links(text: str) -> list[str]:
    """The targets of all links that stay in the repository."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if not target.exists():
        return False
    return not anchor or anchor in {_anchor(title) for title in _titles(target.read_text("utf-8"))}


def _titles(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def _anchor(title: str) -> str:
    """How code hosts make an anchor of a title."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _code(text: str) -> list[str]:
    """Everything that is set as code, in blocks and in lines."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
