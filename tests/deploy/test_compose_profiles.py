"""What containers may do, which images they are, and the store for weights that a profile adds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compose import ROOT, needs_compose, resolved

pytestmark = needs_compose


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return resolved({})


def test_what_is_not_always_wanted_is_a_profile(services: dict[str, Any]) -> None:
    """Without one there are stores, API and study worker."""
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "trial-worker-gpu": ["gpu"], "trial-worker-cpu": ["cpu"],
        "s3": ["s3"], "s3-bucket": ["s3"], "prometheus": ["metrics"],
    }  # fmt: skip


def test_no_container_may_gain_privileges_or_write_into_its_image(services: dict[str, Any]) -> None:
    """Capabilities are dropped and new ones refused; the root file system is read only; nobody is root."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert "build" in service or service["user"] not in ("", "root", "0"), name
        in_memory = service.get("tmpfs") or [volume["target"] for volume in service["volumes"]]
        assert "/tmp" in in_memory, name  # noqa: S108


def test_weights_on_their_way_to_a_bucket_lie_on_the_disk(services: dict[str, Any]) -> None:
    """Where a folder in memory would count against the trial."""
    for name in ("trial-worker-gpu", "trial-worker-cpu"):
        assert not services[name].get("tmpfs")
        (volume,) = [one for one in services[name]["volumes"] if one["target"] == "/tmp"]  # noqa: S108
        assert volume["type"] == "volume"


def test_every_image_can_be_pinned_to_a_digest(services: dict[str, Any]) -> None:
    """By .env alone; ours stand on a base that can be pinned, too."""
    variables = ("POSTGRES_IMAGE", "VALKEY_IMAGE", "S3_IMAGE", "PROMETHEUS_IMAGE", "PYTHON_IMAGE")
    pinned = resolved(dict.fromkeys(variables, f"name@sha256:{'0' * 64}"))
    for name, service in pinned.items():
        image = service["build"]["args"]["PYTHON_IMAGE"] if "build" in service else service["image"]
        assert image.endswith(f"@sha256:{'0' * 64}"), name
    for file in ("service/Dockerfile", "workers/Dockerfile"):
        bases = [
            line for line in (ROOT / file).read_text().splitlines() if line.startswith(("ARG P", "FROM"))
        ]
        assert bases == ["ARG PYTHON_IMAGE=python:3.12-slim", "FROM ${PYTHON_IMAGE}"]


def test_keys_of_the_store_are_a_file_in_the_form_of_amazon(
    services: dict[str, Any], s3_endpoint: str, tmp_path: Path
) -> None:
    """The store of the profile reads it; with it, our processes make the bucket. Without, it has no keys."""
    (line,) = re.findall(r"^ *\$ (printf .*)$", (ROOT / "docs/howto/s3.md").read_text(), re.MULTILINE)
    (tmp_path / "secrets").mkdir()
    subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, check=True)
    keys = tmp_path / "secrets" / "s3_credentials"
    script, _, _ = services["s3"]["command"][0].replace("$$", "$").partition("exec weed")
    script = script.replace("/run/secrets/s3_credentials", str(keys))
    script = script.replace("/tmp/s3.json", f"{tmp_path}/s3")  # noqa: S108
    subprocess.run(["/bin/sh", "-c", script], check=True)
    (identity,) = json.loads((tmp_path / "s3").read_text())["identities"]
    (pair,) = identity["credentials"]
    assert f"aws_secret_access_key = {pair['secretKey']}\n" in keys.read_text()
    assert (pair["accessKey"], len(pair["secretKey"])) == ("paretune", 64)
    assert resolved({})["api"]["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == "/run/secrets/s3_credentials"
    command = services["s3-bucket"]["command"]
    assert make_bucket(command, endpoint=s3_endpoint, keys=keys, url="s3://new-one/weights") == ""
    found = make_bucket(
        command,
        endpoint=s3_endpoint,
        keys=ROOT / "deploy/s3/no-credentials",
        url="s3://other/weights",
    )
    assert "credentials" in found


def make_bucket(command: list[str], *, endpoint: str, keys: Path, url: str) -> str:
    """Run the command of the profile, twice, for it runs at each start; return its last complaint."""
    variables = {
        "AWS_SHARED_CREDENTIALS_FILE": str(keys),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PARETUNE_ARTIFACTS_URL": url,
    }
    ended = [
        subprocess.run(
            [sys.executable, *command[1:]],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    ]
    assert ended[0].returncode == ended[1].returncode
    assert bool(ended[0].returncode) == bool(ended[0].stderr), ended[0].stderr
    return ended[1].stderr.splitlines()[-1] if ended[1].stderr else ""
