"""Every code block of the documents is run, checked, or named here with the test that runs it.

Commands are read by the program that they call, and not started: a command or an option that is gone fails.
"""

import json
import re
import shlex
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from typer.main import get_command

from api_schemas.ask_and_tell import ImportRequest
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.yaml_documents import load_yaml
from paretune import commands as processes
from paretune.cli import app
from paretune.client import Client
from tests.code_blocks import BLOCKS, ROOT, Block, commands, of, one
from tests.conftest import API_KEY, study_body
from tests.paretune.client.studies import DOCUMENT
from tests.paretune.client.test_ask_and_tell import propose_until

OUTPUT = ("text", "csv", "ini")
"""Languages of what is shown and not run."""

RUN_ELSEWHERE = {
    ("CONTRIBUTING.md", "python"): "tests/test_contributing.py",
    ("CONTRIBUTING.md", "diff"): "tests/test_contributing.py",
    ("README.md", "python"): "tests/end_to_end/test_documents.py",
    ("docs/tutorial/csv.md", "python"): "tests/end_to_end/test_documents.py",
    ("docs/tutorial/smaller-model.md", "python"): "tests/end_to_end/test_documents.py",
    ("docs/usage.md", "python"): "tests/end_to_end/test_documents.py",
    ("docs/methods.md", "python"): "tests/paretune/test_plain_usage.py",
}
"""Blocks that need a trained adapter, or that add code to the repository."""

SHELL = ("source", "cp", "mkdir", "printf", "useradd", "install", "systemctl", "sbatch")
"""Commands of the system; what they name of the repository must be there."""


def test_every_language_has_a_test() -> None:
    """A block in a new language would be run by nobody."""
    assert {block.language for block in BLOCKS} <= {*OUTPUT, "console", "python", "yaml", "json", "diff"}
    assert [test for test in RUN_ELSEWHERE.values() if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_commands_exist_with_their_options(block: Block) -> None:
    """Each is read by what it calls."""
    typed = commands(block)
    assert typed
    for command in typed:
        words = shlex.split(command)
        while words and re.match(r"[A-Z_]+=", words[0]):
            check_variable(words.pop(0))
        check(words, command)


def check(words: list[str], command: str) -> None:
    match words:
        case ["paretune", *arguments]:
            read_arguments([word.strip("[]") for word in arguments])
        case ["make", target]:
            makefile = (
                (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(INSTALLED)", ".venv/.installed")
            )
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), command
        case ["docker", "compose", *arguments]:
            check_compose(arguments)
        case ["docker", "buildx", *_] | ["uvx" | "pipx", *_]:
            pass  # asks a registry, or is a program that nothing here has
        case ["curl", *arguments]:
            check_address(next(word for word in arguments if "URL" in word))
        case ["export", *variables]:
            for variable in variables:
                check_variable(variable)
        case ["python", *arguments]:
            check_process(tuple(arguments))
        case ["pip", "install", *wanted]:
            named = [re.sub(r"^[^\[]*\[?|\].*$", "", word) for word in wanted if not word.startswith("--")]
            extras = {extra for names in named for extra in re.findall(r"\w+", names)}
            assert extras <= set(read_pyproject()["project"]["optional-dependencies"])
            assert all((ROOT / word).exists() for word in wanted if word.endswith(".txt"))
        case [program, *arguments]:
            assert program in SHELL, command
            named = [word for word in arguments if word.startswith("deploy/")]
            named += [f"deploy/systemd/{unit}" for unit in arguments if unit.startswith("paretune-")]
            assert [word for word in named if not list(ROOT.glob(f"{re.sub('@.*', '@', word)}*"))] == []


def read_arguments(arguments: list[str]) -> None:
    """Read them as the command line does, down to the options of the innermost command."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        if arguments[0].startswith("--"):
            return
        command = command.commands[arguments.pop(0)]
    command.make_context("paretune", arguments)


def check_variable(assignment: str) -> None:
    name = assignment.partition("=")[0]
    known = (ROOT / "service" / "settings.py").read_text(encoding="utf-8").lower()
    outside = ("AWS_", "OTEL_", "CUDA_", "PARETUNE_URL", "PARETUNE_STATE_DIR")
    assert name.startswith(outside) or name.lower().removeprefix("paretune_") in known, name


def check_compose(arguments: list[str]) -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = composed["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    while arguments[0] == "--profile":
        assert arguments[1] in profiles
        arguments = arguments[2:]
    verb, *rest = arguments
    named = [word.partition(":")[0] for word in rest if not word.startswith("-")]
    assert verb in ("up", "run", "exec", "cp", "build")
    assert verb == "build" or not named or any(name in services for name in named)


def check_address(address: str) -> None:
    path = re.sub(r"\$\w+", "", address).partition("?")[0]
    document = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
    routes = [re.sub(r"\{\w+\}", "[^/]*", route) for route in document["paths"]]
    assert any(re.fullmatch(route, path) for route in routes), address


def check_process(arguments: tuple[str, ...]) -> None:
    """A process of the server is started as `paretune up` starts it; other modules exist."""
    if arguments[1] in ("celery", "uvicorn"):
        started = (
            processes.study_worker("studies-0"),
            processes.trial_worker("trials-0"),
            processes.api("0.0.0.0", 8080),  # noqa: S104  it is only compared
        )
        assert arguments in started
    elif arguments[1] not in ("build", "venv"):
        path = arguments[1].replace(".", "/")
        assert any((ROOT / name).exists() for name in (arguments[0], f"{path}.py", f"{path}/__main__.py"))


def read_pyproject() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_studies_and_parts_of_them_are_legal(block: Block) -> None:
    """A part is put into a study that has the rest."""
    document = load_yaml(block.text.replace(", ...}", "}"))
    if {"peft", "architecture"} & document.keys():
        TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, **document})
        return
    if "task" in document:
        document = {"configuration": {"backbone": "b", **document}}
    elif "configuration" in document:
        document["configuration"] = {"backbone": "b", "task": {"name": "t"}, **document["configuration"]}
    own = block.page == "docs/ask_and_tell.md" or document.get("kind") == "custom"
    StudyCreate.model_validate({**(DOCUMENT if own else study_body()), **document})


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_what_its_page_says(block: Block) -> None:
    """Past results are legal; what another program reads is JSON at least."""
    document = json.loads(block.text)
    if "observations" in document:
        ImportRequest.model_validate(document)
    else:
        (server,) = document["mcpServers"].values()
        read_arguments(server["args"])


@contextmanager
def proposing(study_id: str) -> Iterator[None]:
    """Be the study worker of a study meanwhile."""
    over = threading.Event()
    thread = threading.Thread(target=propose_until, args=(over, study_id))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(block: str, **names: Any) -> None:
    exec(compile(block, "a page", "exec"), names)  # noqa: S102  that it runs is what the page promises


def test_the_tutorial_of_ones_own_script_finds_a_front(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The study and the program of the page, with a smaller budget."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    page = "docs/tutorial/your-script.md"
    study = StudyCreate.model_validate({**load_yaml(one(page, "yaml")), "budget": {"trials": 3}})
    with Client(server_url, api_key=API_KEY) as client, proposing(client.create_study(study).id):
        run(one(page, "python"))
    assert "'mass'" in capsys.readouterr().out


def test_blocks_that_use_a_client_run(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ask and tell, twice; the first event of a stream; studies of Optuna in and out."""
    with Client(server_url, api_key=API_KEY) as client:
        beam = {**load_yaml(one("docs/ask_and_tell.md", "yaml")), "budget": {"trials": 1}}
        first, second = (client.create_study(StudyCreate.model_validate(beam)).id for _ in range(2))
        values = {"mass": 3.0, "deflection": 0.1}
        with proposing(first):
            run(one("docs/ask_and_tell.md", "python"), url=server_url, key=API_KEY, study_id=first, **values)
        with proposing(second):
            text = one("docs/studies.md", "python")
            run(text, client=client, study_id=second, measure=lambda _: values)
        assert [client.get_study(study).trials.succeeded for study in (first, second)] == [1, 1]
        events = SimpleNamespace(events=lambda *wanted, **more: islice(client.events(*wanted, **more), 1))
        run(one("docs/events.md", "python"), client=events, study_id=first)
    assert "study.created" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    mine = optuna.create_study(study_name="mine", storage="sqlite:///study.db")
    mine.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    run(one("docs/bridges.md", "python"), url=server_url, key=API_KEY)
    assert (tmp_path / "journal.log").exists()


def test_every_python_block_is_run() -> None:
    """Here, or where the list above says."""
    here = ["ask_and_tell", "bridges", "events", "studies", "tutorial/your-script"]
    found = [block.page for block in of("python") if (block.page, "python") not in RUN_ELSEWHERE]
    assert sorted(found) == [f"docs/{page}.md" for page in here]
