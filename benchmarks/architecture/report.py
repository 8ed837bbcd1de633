"""What the recorded lines say, as tables. Knows no network."""

import statistics
from collections.abc import Sequence
from typing import Any

from scipy.stats import spearmanr

from benchmarks.architecture.latency import in_shares, ways_of
from benchmarks.architecture.proxies import PROXIES
from benchmarks.markdown import markdown_table

PREDICTIONS = ("predicted_loss", "probe_loss", "distortion")
"""Before training: of single cuts added up, of the linear head on the cut network, of its outputs."""


def report(lines: list[dict[str, Any]]) -> str:
    """Return the table of sub-networks, how well each prediction ranked them, and their times."""
    proxies: dict[str, dict[str, Any]] = {}
    for line in lines:
        for of in ("proxies_of", "one_shot_of"):
            if of in line:
                proxies.setdefault(line[of], {}).update(line)
    facts = {line["name"]: {**proxies.get(line["digest"], {}), **line} for line in lines if "name" in line}
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if "seed" in line and "digest" in line:
            runs.setdefault(line["digest"], []).append(line)
    measured = [(one, runs[one["digest"]]) for one in facts.values() if one["digest"] in runs]
    whole = facts["whole"]["layer_parameters"]
    rows = [
        [
            one["name"],
            " ".join(str(layer) for layer in one["layers"]),
            f"{one['layer_parameters'] / whole:.2f}",
            *(f"{one[name]:.3f}" for name in PREDICTIONS),
            *(
                f"{statistics.mean(run[name] for run in of_one):.3f}"
                for name in ("validation", "test", "test_loss")
            ),
        ]
        for one, of_one in measured
    ]
    header = ["sub-network", "layers", "weights", *PREDICTIONS, "validation", "test", "test loss"]
    timed = [line for line in lines if "timed" in line]
    taught = [line for line in lines if "taught" in line]
    tables = [
        markdown_table(header, rows),
        _rank_correlations(measured),
        _taught(taught, runs),
        _times(timed),
    ]
    return "\n\n".join(tables)


def _rank_correlations(measured: Sequence[tuple[dict[str, Any], list[dict[str, Any]]]]) -> str:
    """Write how predictions and measurements rank different sub-networks: Spearman's correlation."""
    distinct = list({one["digest"]: (one, of_one) for one, of_one in measured}.values())
    rows = []
    known = [name for name in PROXIES if all(name in one for one, _ in distinct)]
    losses = [name for name in ("one_shot",) if all(name in one for one, _ in distinct)]
    for name, sign in {
        **dict.fromkeys((*PREDICTIONS, *losses), -1),
        **dict.fromkeys((*known, "layer_parameters"), 1),
    }.items():
        predicted = [sign * one[name] for one, _ in distinct]
        cells = []
        for metric, better in {"validation": 1, "test": 1, "test_loss": -1}.items():
            reached = [better * statistics.mean(run[metric] for run in of_one) for _, of_one in distinct]
            cells.append(f"{spearmanr(predicted, reached).statistic:.2f}")
        rows.append([name, *cells])
    header = [f"Spearman over {len(distinct)} sub-networks", "validation", "test", "test loss"]
    return markdown_table(header, rows)


def _taught(taught: Sequence[dict[str, Any]], runs: dict[str, list[dict[str, Any]]]) -> str:
    """Write what a teacher added to each measurement, with one seed of both."""
    rows = []
    for line in taught:
        [alone] = [run for run in runs[line["taught"]] if run["seed"] == line["seed"]]
        gains = [f"{line[name] - alone[name]:+.3f}" for name in ("validation", "test", "test_loss")]
        rows.append([line["name_of_taught"], *gains])
    return markdown_table(["with a teacher", "validation", "test", "test loss"], rows) if rows else ""


def _times(timed: Sequence[dict[str, Any]]) -> str:
    """Write times relative to the whole network in the same runtime, and in milliseconds for that one."""
    if not timed:
        return ""
    last = {line["timed"]: line for line in timed}
    rows = [[name, *in_shares(line, last["whole"])] for name, line in last.items()]
    return markdown_table(["one thread", *ways_of(last["whole"])], rows)
