"""How the page and its files are served, and that they are the files we vendored."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api.routes.dashboard import STATIC_DIR, mount_dashboard

VENDOR_DIR = STATIC_DIR / "vendor"
OWN_FILES = sorted(path for path in STATIC_DIR.iterdir() if path.is_file())


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    mount_dashboard(app)
    with TestClient(app) as opened:
        yield opened


@pytest.mark.parametrize(
    "path", ["/static/none.js", "/static/../routes.py", "/static/%2e%2e/routes.py", "/static"]
)
def test_nothing_but_the_static_files_is_served(client: TestClient, path: str) -> None:
    """404 for what is not there, and for what lies beside."""
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/static/vendor/echarts.esm.min.mjs"])
def test_every_answer_forbids_foreign_and_inline_code(client: TestClient, path: str) -> None:
    """The policy has no exception, and types are not guessed."""
    headers = client.get(path).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/static/main.js", "/static/vendor/echarts.esm.min.mjs"])
def test_modules_have_the_type_without_which_they_do_not_run(client: TestClient, path: str) -> None:
    """With nosniff a browser refuses a module of any other type."""
    assert client.get(path).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/static/main.js", "/static/vendor/echarts.esm.min.mjs"])
def test_a_file_that_has_not_changed_is_not_sent_again(client: TestClient, path: str) -> None:
    """The browser asks each time and gets a 304."""
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_the_page_asks_for_no_file_that_is_missing(client: TestClient) -> None:
    """Every link, script, image and import leads to a file, and to none on another server."""
    wanted = re.findall(r'(?:src|href)="([^"#]+)"', client.get("/").text)
    for path in OWN_FILES:
        if path.suffix == ".js":
            imports = re.findall(r'^import .*?from "([^"]+)";$', path.read_text(), re.MULTILINE | re.DOTALL)
            wanted += [f"/static/{name.removeprefix('./')}" for name in imports]
    assert len(wanted) > 20
    for path in set(wanted):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: path.name)
def test_no_data_can_become_markup(path: Path) -> None:
    """None of our modules uses a way to write HTML or to run text."""
    text = path.read_text()
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert sink not in text
    assert not re.search(r"\bstyle=|\bon[a-z]+=\"|<script(?! type=\"module\" src=)", text)


def test_vendored_files_are_those_whose_hashes_are_written_down() -> None:
    """SHA256SUMS names every vendored file, and each has its hash."""
    lines = (VENDOR_DIR / "SHA256SUMS").read_text().splitlines()
    written = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR_DIR.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == written
    assert {"LICENSE", "NOTICE", "echarts.esm.min.mjs"} <= set(found)


def test_the_vendored_library_is_the_version_we_name() -> None:
    """ECharts says its own version."""
    assert '"6.1.0"' in (VENDOR_DIR / "echarts.esm.min.mjs").read_text()
