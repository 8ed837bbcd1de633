"""The compose file is valid, safe, and runs the very commands that `paretune up` runs.

No image is built and no container started here: that needs an engine.
"""

import os
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import psycopg
import pytest
from kombu import Connection
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from paretune import commands
from paretune.embedded_postgres import free_port
from paretune.embedded_valkey import binary
from service.access.tenants import weakness
from service.settings import Settings, read_secret, with_password
from tests.compose import ROOT, compose, needs_compose, resolved

SECRETS = {"api_key", "postgres_password", "valkey_password", "metrics_token"}
OURS = ("api", "study-worker", "trial-worker-gpu", "trial-worker-cpu")
FIXED = {
    "DATABASE_URL", "DATABASE_PASSWORD_FILE", "BROKER_URL", "BROKER_PASSWORD_FILE", "PARETUNE_DATA_DIR",
    "PARETUNE_MODELS_DIR", "PARETUNE_API_KEY", "PARETUNE_API_KEY_FILE", "PARETUNE_DEVICE",
    "PARETUNE_ALIVE_FILE", "PARETUNE_METRICS_TOKEN", "PARETUNE_METRICS_TOKEN_FILE",
}  # fmt: skip
"""What compose settles itself: stores and folders in the containers, devices; the key is the migration's,
and the token of the metrics the API's."""
OF_THE_API = {
    "PARETUNE_REQUESTS_PER_SECOND", "PARETUNE_REQUEST_BURST", "PARETUNE_WEBHOOK_NETWORKS",
    "PARETUNE_WEBHOOK_HTTP",
}  # fmt: skip

pytestmark = needs_compose


def variables() -> list[str]:
    """Name the environment variable of each of our settings."""
    aliases = {name: field.validation_alias for name, field in Settings.model_fields.items()}
    named = [
        alias if isinstance(alias, str) else f"PARETUNE_{name.upper()}" for name, alias in aliases.items()
    ]
    return sorted({*named} - FIXED)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return resolved({})


def test_secrets_are_files_that_only_those_see_who_need_them(services: dict[str, Any]) -> None:
    """The key is the migration's alone; no secret is in an environment."""
    stores = {"postgres_password", "valkey_password", "s3_credentials"}
    with_hub = stores | {"hf_token"}
    needs = {
        "postgres": {"postgres_password"},
        "valkey": {"valkey_password"},
        "migrate": stores | {"api_key"},
        **dict.fromkeys(OURS, with_hub),
        "api": with_hub | {"metrics_token"},
        "s3": {"s3_credentials"},
        "s3-bucket": {"s3_credentials"},
        "prometheus": {"metrics_token"},
    }
    given = {name: {secret["source"] for secret in service["secrets"]} for name, service in services.items()}
    assert given == needs
    for service in services.values():
        environment = service.get("environment", {})
        named = {
            str(value)
            for name, value in environment.items()
            if name.endswith(("WORD_FILE", "KEY_FILE", "TOKEN_FILE"))
        }
        assert named <= {f"/run/secrets/{secret}" for secret in SECRETS}
        assert not {"POSTGRES_PASSWORD", "PARETUNE_API_KEY", "PARETUNE_METRICS_TOKEN"} & {*environment}
        assert all(secret["target"] == f"/run/secrets/{secret['source']}" for secret in service["secrets"])


def test_one_line_makes_the_secrets(tmp_path: Path) -> None:
    """That of .env.example: strong, nobody else may enter their folder, containers may read them."""
    (line,) = re.findall(r"^#   (mkdir .*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    subprocess.run(["/bin/sh", "-c", f"umask 077; {line}"], cwd=tmp_path, check=True)
    made = {file.name: file for file in (tmp_path / "secrets").iterdir()}
    assert made.keys() == SECRETS
    assert weakness(read_secret(made["api_key"])) is None
    assert len({read_secret(file) for file in made.values()}) == len(SECRETS)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.values()} == {0o644}


def test_secrets_are_neither_committed_nor_sent_to_the_engine() -> None:
    """Both files of things to leave out name their folder."""
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("password", ["0123456789abcdef" * 4, """p@ss/w:rd "with' $(all) #é%41\\"""])
def test_valkey_asks_for_the_password_of_its_file(
    services: dict[str, Any], tmp_path: Path, password: str
) -> None:
    """Its own command, on a real Valkey; what our processes are told lets them in."""
    secret = tmp_path / "valkey_password"
    secret.write_text(f"{password}\n", encoding="utf-8")
    port = free_port()
    url = services["api"]["environment"]["BROKER_URL"].replace("valkey:6379", f"127.0.0.1:{port}")
    with valkey_of_compose(services["valkey"]["command"], folder=tmp_path, secret=secret, port=port):
        with Redis.from_url(with_password(url, read_secret(secret))) as client:
            wait_for(client)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        with Redis.from_url(url) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        with Connection(with_password(url, read_secret(secret))) as broker:
            broker.ensure_connection(max_retries=1)


@contextmanager
def valkey_of_compose(command: list[str], *, folder: Path, secret: Path, port: int) -> Iterator[None]:
    """Run the command as the image would: its entry point runs what it is given, as another user."""
    (folder / "docker-entrypoint.sh").write_text(
        f'#!/bin/sh\nexec "$@" --bind 127.0.0.1 --port {port}\n', encoding="ascii"
    )
    (folder / "docker-entrypoint.sh").chmod(0o755)
    (folder / "valkey-server").symlink_to(binary())
    shell, option, script = command
    script = script.replace("$$", "$").replace("/run/secrets/valkey_password", str(secret))
    path = f"{folder}:{os.environ['PATH']}"
    with subprocess.Popen([shell, option, script], cwd=folder, env={"PATH": path}, stdout=DEVNULL) as server:
        try:
            yield
        finally:
            server.terminate()


def wait_for(client: Redis) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            client.ping()
        except RedisConnectionError:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        else:
            return


def test_it_is_valid() -> None:
    """Compose itself accepts the file."""
    found = compose("config", "-q", environment={})
    assert (found.returncode, found.stderr) == (0, "")


def test_commands_are_those_of_the_supervisor(services: dict[str, Any]) -> None:
    """A laptop and a GPU box run the same processes."""

    def command(name: str) -> tuple[str, ...]:
        python, *arguments = services[name]["command"]
        assert python == "python"
        return tuple(arguments)

    assert command("migrate") == commands.MIGRATE
    assert command("api") == commands.api("0.0.0.0", 8080)  # noqa: S104  inside its container
    assert command("study-worker") == commands.study_worker("studies-0")
    assert command("trial-worker-cpu") == commands.trial_worker("trials-0")
    assert command("trial-worker-gpu") == ("-m", "paretune.cli", "workers")


def test_postgres_takes_as_many_connections_as_the_embedded_one(
    services: dict[str, Any], administrator: psycopg.Connection
) -> None:
    """Two API processes and a few dozen workers together would not find a place in its default of 100."""
    row = administrator.execute("SHOW max_connections").fetchone()
    assert row is not None
    assert services["postgres"]["command"] == ["postgres", "-c", f"max_connections={row[0]}"]


def test_every_setting_reaches_the_processes_that_read_it() -> None:
    """What .env says is what they are told, the token for the hub among it."""
    wanted = {name: f"the {name}" for name in [*variables(), "HF_TOKEN"]}
    found = resolved(wanted)
    for service in OURS:
        given = found[service]["environment"].items()
        missing = {name for name, value in wanted.items() if (name, value) not in given}
        assert missing == (set() if service == "api" else OF_THE_API), service


@pytest.mark.parametrize("service", OURS)
def test_settings_that_nobody_sets_are_as_without_compose(
    service: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is passed on that a process could not read."""
    for name in [*variables(), *FIXED]:
        monkeypatch.delenv(name, raising=False)
    given = {name: value for name, value in services[service]["environment"].items() if value is not None}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    changed = {name for name in Settings().model_fields_set if not Settings.model_fields[name].is_required()}
    own = {
        "api": {"requests_per_second", "metrics_token_file"},
        "study-worker": {"alive_file"},
        "trial-worker-gpu": {"device", "alive_file"},
        "trial-worker-cpu": {"device", "alive_file"},
    }
    passwords = {"database_password_file", "broker_password_file"}
    assert changed == {"data_dir", "models_dir"} | passwords | own.get(service, set())
    assert "HF_TOKEN" not in given


def test_local_backbones_lie_in_a_folder_of_the_host_that_nobody_writes_to(services: dict[str, Any]) -> None:
    """The one that .env names; without it there are none."""
    found = resolved({"PARETUNE_MODELS_DIR": "/srv/models"})
    for service in ("api", "trial-worker-gpu", "trial-worker-cpu"):
        assert found[service]["environment"]["PARETUNE_MODELS_DIR"] == "/models"
        (bound,) = [volume for volume in found[service]["volumes"] if volume["target"] == "/models"]
        assert (bound["type"], bound["source"], bound["read_only"]) == ("bind", "/srv/models", True)
        (empty,) = [volume for volume in services[service]["volumes"] if volume["target"] == "/models"]
        assert (empty["type"], empty["source"]) == ("volume", "models")


def test_only_the_api_is_reachable_and_only_from_this_host(services: dict[str, Any]) -> None:
    """Stores and workers publish no port; the API and Prometheus listen on loopback unless told otherwise."""
    ports = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert ports.keys() == {"api", "prometheus"}
    assert {port["host_ip"] for published in ports.values() for port in published} == {"127.0.0.1"}


def test_nothing_starts_before_the_schema_is_there(services: dict[str, Any]) -> None:
    """Every process of ours waits for the migration and for the broker."""
    for name in ("api", "study-worker", "trial-worker-gpu", "trial-worker-cpu"):
        needs = services[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["valkey"]["condition"] == "service_healthy"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_the_database_is_healthy_once_it_takes_connections(services: dict[str, Any]) -> None:
    """At its port, not at the socket, where the temporary server that fills a new volume answers, too."""
    assert services["postgres"]["healthcheck"]["test"][:4] == ["CMD", "pg_isready", "--host", "127.0.0.1"]


def test_a_stopped_trial_worker_gives_its_trial_back(services: dict[str, Any]) -> None:
    """SIGQUIT is what releases a lease; compose waits longer than that takes."""
    for name in ("trial-worker-gpu", "trial-worker-cpu"):
        assert services[name]["stop_signal"] == "SIGQUIT"
        assert services[name]["stop_grace_period"] == "30s"


@pytest.mark.parametrize("service", OURS[1:])
def test_a_worker_is_healthy_while_it_touches_its_file(
    services: dict[str, Any], service: str, tmp_path: Path
) -> None:
    """The check itself, run: no file or an old one is bad, fresh ones or those of the future good.

    Where a container has several workers, one that is silent is enough.
    """
    place = services[service]["environment"]["PARETUNE_ALIVE_FILE"]
    shell, check = services[service]["healthcheck"]["test"]
    assert shell == "CMD-SHELL"
    file = tmp_path / "alive"
    command = ["/bin/sh", "-c", check.replace("$$", "$").replace(place, str(file))]

    def is_healthy() -> bool:
        return subprocess.run(command, check=False, stderr=DEVNULL).returncode == 0

    assert not is_healthy()
    file.touch()
    assert is_healthy()
    now = time.time()
    os.utime(file, (now, now - 90))
    assert not is_healthy()
    os.utime(file, (now, now + 3600))
    assert is_healthy()
    other = tmp_path / "alive-1"
    other.touch()
    assert is_healthy()
    os.utime(other, (now, now - 90))
    assert not is_healthy()


def test_no_container_takes_the_whole_machine(services: dict[str, Any]) -> None:
    """Memory, processes and logs of each end somewhere, those of the stores too; .env moves the limits."""
    for name, service in services.items():
        assert int(service["mem_limit"]) >= 2**30, name
        assert service["pids_limit"] == 4096, name
        assert service["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "20m", "max-file": "5"},
        }, name
    limits = ("TRIAL_WORKER_MEMORY", "STUDY_WORKER_MEMORY", "API_MEMORY", "POSTGRES_MEMORY")
    moved = resolved(dict.fromkeys(limits, "3g"))
    unmoved = {name for name, service in moved.items() if int(service["mem_limit"]) != 3 * 2**30}
    assert unmoved == {"valkey", "migrate", "s3", "s3-bucket", "prometheus"}


def test_valkey_refuses_before_it_is_killed(services: dict[str, Any]) -> None:
    """What it may hold is half of its container, for rewriting its log takes as much again."""
    most = re.search(r"--maxmemory (\d+)mb", services["valkey"]["command"][-1])
    assert most is not None
    assert int(most[1]) * 2**20 * 2 <= int(services["valkey"]["mem_limit"])


def test_the_trial_workers_get_every_gpu_or_those_that_env_names(services: dict[str, Any]) -> None:
    """One container for all of them; the CPU profile asks for none."""
    gpu = services["trial-worker-gpu"]
    devices = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert [(device["driver"], device["count"]) for device in devices] == [("nvidia", -1)]
    assert gpu["environment"]["CUDA_VISIBLE_DEVICES"] is None
    named = resolved({"CUDA_VISIBLE_DEVICES": "0,2"})
    assert named["trial-worker-gpu"]["environment"]["CUDA_VISIBLE_DEVICES"] == "0,2"
    assert "CUDA_VISIBLE_DEVICES" not in named["trial-worker-cpu"]["environment"]
    assert "reservations" not in services["trial-worker-cpu"]["deploy"]["resources"]
    assert gpu["environment"]["PARETUNE_DEVICE"] == "cuda"
    assert services["trial-worker-cpu"]["environment"]["PARETUNE_DEVICE"] == "cpu"


@pytest.mark.parametrize("file", ["service/Dockerfile", "workers/Dockerfile"])
def test_images_copy_what_exists_and_do_not_run_as_root(file: str) -> None:
    """Every COPY source is in the repository; the last USER is not root."""
    lines = (ROOT / file).read_text().splitlines()
    for line in lines:
        if line.startswith("COPY "):
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER paretune"


EXTRAS = {
    "service": {"api", "s3", "telemetry"},
    "workers": {"engine", "trials", "quantised", "s3", "telemetry"},
}
"""What each image installs: whatever its processes can be asked for."""
OF_OTHER_MACHINES = {"optuna", "mlflow", "pandas", "mcp", "onnx", "embedded", "all", "peers", "docs", "dev"}
"""The client's, a laptop's, the benchmarks', the site's and the tests'."""


@pytest.mark.parametrize("image", sorted(EXTRAS))
def test_an_image_installs_what_its_processes_can_be_asked_for(image: str) -> None:
    """Quantised backbones among it: without their library such trials are infeasible."""
    installed = re.findall(r"'\.\[([a-z0-9,]+)\]'", (ROOT / image / "Dockerfile").read_text())
    assert [set(extras.split(",")) for extras in installed] == [EXTRAS[image]]


def test_every_extra_is_in_an_image_or_known_to_belong_elsewhere() -> None:
    """A new one is decided on, not forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set().union(*EXTRAS.values()) | OF_OTHER_MACHINES


def test_every_variable_of_the_example_is_one_that_compose_reads() -> None:
    """And it reads torch's index from there, for the images that have torch and no other."""
    example = (ROOT / ".env.example").read_text()
    offered = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    read = set(
        re.findall(r"\$\{([A-Z_]+)|^ +([A-Z_]+):$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    )
    assert offered <= {name for names in read for name in names}
    assert "TORCH_INDEX" in offered


def test_torch_comes_from_the_index_that_env_names() -> None:
    """As a build argument, which the image of the workers hands to pip."""
    found = resolved({"TORCH_INDEX": "https://torch.example/cpu"})
    for service in ("study-worker", "trial-worker-gpu", "trial-worker-cpu"):
        assert found[service]["build"]["args"]["TORCH_INDEX"] == "https://torch.example/cpu"
    assert "TORCH_INDEX" not in found["api"]["build"]["args"]
    assert '${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch' in (ROOT / "workers/Dockerfile").read_text()


@pytest.mark.parametrize("image", sorted(EXTRAS))
def test_the_user_of_an_image_owns_its_cache(image: str, services: dict[str, Any]) -> None:
    """All of ~/.cache, not only the hub's part of it that a volume covers, whichever container makes it."""
    lines = (ROOT / image / "Dockerfile").read_text().splitlines()
    as_root, as_user = lines[: lines.index("USER paretune")], lines[lines.index("USER paretune") :]
    assert "RUN mkdir -p /home/paretune/.cache/huggingface" in as_user
    assert not [line for line in as_root if "/home/paretune" in line]
    for name in ("api", "trial-worker-gpu", "trial-worker-cpu"):
        assert ("hub", "/home/paretune/.cache/huggingface") in {
            (volume.get("source"), volume["target"]) for volume in services[name]["volumes"]
        }
