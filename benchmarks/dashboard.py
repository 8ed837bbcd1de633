"""What a browser does with a study of 5,000 results: `python -m benchmarks.dashboard`.

The real server without workers, and Debian's Chromium over loopback on the same cores. Everything is timed in
the page: the first paint, until every result is drawn, a click on a heading until the frame after it, and the
longest task of the page's thread while a further result comes in.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from benchmarks.chromium import chromium
from benchmarks.service.server import API_KEY, running_server

RESULTS = 5_000
BATCH = 500
PATIENCE_MS = 120_000
STUDY: dict[str, Any] = {
    "kind": "custom",
    "display_name": "five thousand results",
    "search_space": {
        "parameters": [
            {"type": "float", "name": "rate", "low": 0.0, "high": 1.0},
            {"type": "int", "name": "width", "low": 1, "high": 1000},
        ]
    },
    "objectives": [
        {"metric": "error", "direction": "minimize"},
        {"metric": "watts", "direction": "minimize"},
    ],
    "budget": {"trials": 100},
}
WATCH_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((task) => task.duration)))
    .observe({ type: "longtask", buffered: true });
}"""
CHARTS = "async () => { window.charts = await import('/static/vendor/echarts.esm.min.mjs'); }"
DRAWN = """(expected) => {
  const element = document.querySelector('[data-testid="pareto-chart"]');
  if (!element) return false;
  const series = window.charts.getInstanceByDom(element)?.getModel()?.getSeries() ?? [];
  const points = series.filter((one) => one.subType === "scatter").map((one) => one.getData().count());
  return points.reduce((sum, count) => sum + count, 0) >= expected && performance.now();
}"""
SORT = """async (column) => {
  const button = document.querySelectorAll('[data-testid="trials"] thead button')[column];
  const began = performance.now();
  button.click();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - began;
}"""
FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    """Print one line of JSON: milliseconds, and nodes of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshot", type=Path, help="where to save what the page looked like")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_server(Path(folder)) as server:
            study_id = study_of_results(server.url, RESULTS)
            print(json.dumps(measure(server.url, study_id, arguments.screenshot)))


def study_of_results(url: str, results: int) -> str:
    """Return the id of a new study that has imported results."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=120) as http:
        study_id: str = http.post("/v1/studies", json=STUDY).raise_for_status().json()["id"]
        http.post(f"/v1/studies/{study_id}:pause").raise_for_status()
        for batch in batches(list(observations(results)), BATCH):
            answer = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": batch})
            answer.raise_for_status()
    return study_id


def observations(results: int) -> Iterator[dict[str, Any]]:
    """Return results around a front, the same ones each time."""
    rng = random.Random(0)  # noqa: S311  an experiment, not a secret
    for _ in range(results):
        rate, width = rng.random(), rng.randint(1, 1000)
        error = 0.05 + (1 - width / 1000) ** 2 / 2 + rng.random() / 10
        watts = 10.0 + width / 20 + 5 * rng.random()
        yield {
            "parameters": {"rate": rate, "width": width},
            "metrics": {"error": round(error, 4), "watts": round(watts, 3)},
        }


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Return the items in groups."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def measure(url: str, study_id: str, screenshot: Path | None) -> dict[str, float]:
    """Return what a new browser measured."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        found = watch(page, url, study_id)
        if screenshot is not None:
            page.screenshot(path=screenshot)
    return {name: round(value, 1) for name, value in found.items()}


def watch(page: Page, url: str, study_id: str) -> dict[str, float]:
    """Open the study, sort its table, and let a further result come in."""
    page.add_init_script(f"({WATCH_TASKS})()")
    page.goto(f"{url}/#key={API_KEY}&study={study_id}")
    page.evaluate(CHARTS)
    drawn_ms = until_drawn(page, RESULTS)
    page.wait_for_selector('[data-testid="trials"] tbody button', timeout=PATIENCE_MS)
    found = {
        "first_paint_ms": page.evaluate(FIRST_PAINT),
        "all_points_ms": drawn_ms,
        "longest_task_of_loading_ms": longest_task(page),
        "nodes": page.evaluate("() => document.querySelectorAll('*').length"),
        "slowest_sort_ms": max(page.evaluate(SORT, column) for column in (0, 2, 3, 4)),
    }
    page.wait_for_timeout(3_000)
    longest_task(page)
    observation = {"parameters": {"rate": 0.5, "width": 500}, "metrics": {"error": 0.01, "watts": 9.0}}
    httpx.post(
        f"{url}/v1/studies/{study_id}/trials:import",
        json={"observations": [observation]},
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=60,
    ).raise_for_status()
    until_drawn(page, RESULTS + 1)
    page.wait_for_timeout(3_000)
    return found | {"longest_task_of_an_event_ms": longest_task(page)}


def until_drawn(page: Page, points: int) -> float:
    """Return when the plot had so many points, in milliseconds of the page's clock."""
    return float(page.wait_for_function(DRAWN, arg=points, polling=50, timeout=PATIENCE_MS).json_value())


def longest_task(page: Page) -> float:
    """Return the longest task since the last call; the browser counts none below 50 ms."""
    page.wait_for_timeout(200)
    return float(page.evaluate("() => Math.max(0, ...window.longTasks.splice(0))"))


if __name__ == "__main__":
    main()
