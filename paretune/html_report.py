"""A study as one HTML page that needs nothing else: no script, no network, charts as inline SVG."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

from api_schemas.importance import Importance
from api_schemas.objectives import LOG_METRICS, Direction, Metric
from api_schemas.pareto import HypervolumeHistory, ParetoFront
from api_schemas.recommendation import Recommendation
from api_schemas.studies import StudyRead
from api_schemas.trials import TrialRead, TrialState
from paretune.finished_study import against_default
from paretune.front_plot import NUMBER, as_taken, value_of
from paretune.front_report import trial_in_words
from paretune.numbers import format_duration, format_with_error, metric_title
from paretune.printable import printable
from paretune.progress import budget_text
from paretune.recommendation_report import recommendation_lines
from paretune.svg_plot import Axis, Mark, line, scatter, staircase

STYLE = """
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#666;--rule:#ddd;--ground:#fff;--front:#0072b2;
--probe:#d55e00;--dot:#aaa;--chosen:#009e73}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#9a9a9a;--rule:#3a3a3a;--ground:#161616;
--front:#56b4e9;--dot:#6a6a6a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:60rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}p,pre{margin:.4rem 0}
.soft{color:var(--soft)}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--rule);
vertical-align:top}th{font-weight:600}td.n,th.n{text-align:right}pre{white-space:pre-wrap;overflow-wrap:anywhere}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .tick{fill:var(--soft)}
.grid{stroke:var(--rule)}.bar{stroke:var(--soft)}.stairs,.line{fill:none;stroke:var(--front);stroke-width:1.5}
.front{fill:var(--front)}.other{fill:var(--dot)}.probe{fill:none;stroke:var(--probe);stroke-width:2}
.chosen{fill:var(--chosen)}.share{background:var(--front);height:.6rem;display:inline-block}
"""
CLOSED = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
MOST_SHARES = 12
MOST_TRIALS = 2000
"""Rows of the table; a page with more is slow to open. The newest are left out."""
LEGEND = (
    ("front", "front"),
    ("chosen", "recommended"),
    ("other", "dominated"),
    ("probe", "the head alone"),
)


@dataclass(frozen=True)
class Report:
    """Everything that a page shows."""

    study: StudyRead
    trials: Sequence[TrialRead]
    front: ParetoFront
    history: HypervolumeHistory
    importance: Importance
    recommendation: Recommendation | None

    @cached_property
    def words(self) -> Mapping[str, str]:
        """By trial, what it trains, or its parameters."""
        return {trial.id: printable(trial_in_words(trial)) for trial in self.trials}


def report_page(found: Report) -> str:
    """Return the page of a study."""
    study = found.study
    name = escape(printable(study.display_name))
    return "".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{CLOSED}',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{name}</title><style>{STYLE}</style></head><body><h1>{name}</h1>",
            f'<p class="soft">{escape(_summary(study))}</p>',
            *_recommendation(found),
            *_fronts(found),
            *_history(found.history),
            *_importance(found.importance),
            *_trials(found),
            *_settings(study),
            "</body></html>\n",
        ]
    )


def _summary(study: StudyRead) -> str:
    took = None if study.finished_at is None else (study.finished_at - study.created_at).total_seconds()
    words = [
        study.id,
        str(study.state),
        budget_text(study),
        f"made {study.created_at:%Y-%m-%d %H:%MZ}",
        *([] if took is None else [f"took {format_duration(took)}"]),
        *([] if study.state_reason is None else [study.state_reason]),
        *([] if study.one_shot is None else [study.one_shot.detail]),
    ]
    return " · ".join(map(printable, words))


def _recommendation(found: Report) -> Iterator[str]:
    if found.recommendation is None:
        return
    yield "<h2>Recommendation</h2>"
    lines = recommendation_lines(found.recommendation)
    if found.recommendation.against_default is not None:
        lines.append(against_default(found.recommendation.against_default))
    for text in lines:
        yield f"<p>{escape(printable(text))}</p>"


def _fronts(found: Report) -> Iterator[str]:
    front, study = found.front, found.study
    yield "<h2>Front</h2>"
    if not front.points:
        yield "<p>No trial has succeeded yet.</p>"
        return
    yield f'<p class="soft">{"".join(_legend())}</p>'
    alone = NUMBER if study.configuration is None else Metric.TRAINABLE_PARAMETERS.value
    others = [objective.metric for objective in front.objectives[1:]] or [alone]
    for metric in others:
        yield _front_chart(found, x=metric)
    task = None if study.configuration is None else study.configuration.task
    custom = task is None
    headings = [metric_title(one.metric, task, one.direction.value) for one in front.objectives]
    rows = [
        [
            str(point.number),
            *(
                format_with_error(one.metric, point.metrics, point.metric_standard_errors, custom=custom)
                for one in front.objectives
            ),
            "" if point.front_probability is None else f"{point.front_probability:.0%}",
            str(point.seeds),
            found.words[point.trial_id],
        ]
        for point in front.points
    ]
    columns = ["trial", *headings, "chance", "seeds", "parameters" if custom else "modules"]
    yield _table(columns, rows, numeric=len(columns) - 1)


def _front_chart(found: Report, *, x: str) -> str:
    front, study = found.front, found.study
    task = None if study.configuration is None else study.configuration.task
    counts = frozenset[str]() if task is None else LOG_METRICS
    y = front.objectives[0].metric
    logarithmic = counts | {objective.metric for objective in front.objectives if objective.log}
    members = {point.trial_id for point in front.points}
    chosen = None if found.recommendation is None else found.recommendation.number
    marks = [
        Mark(
            value_of(trial, x, counts),
            value_of(trial, y, counts),
            "probe" if trial.configuration and trial.configuration.is_head_only else "other",
            f"trial {trial.number}: {found.words[trial.id]}",
        )
        for trial in found.trials
        if trial.state is TrialState.SUCCEEDED and trial.id not in members and _has(trial.metrics, x, y)
    ]
    points = [as_taken(front, point) for point in front.points if _has(point.metrics, x, y)]
    marks += [
        Mark(
            value_of(point, x, counts),
            value_of(point, y, counts),
            "chosen" if point.number == chosen else "front",
            f"trial {point.number}: {found.words[point.trial_id]}",
            label=str(point.number),
            x_error=point.metric_standard_errors.get(x, 0.0),
            y_error=point.metric_standard_errors.get(y, 0.0),
        )
        for point in points
    ]
    falling = any(one.metric == x and one.direction is Direction.MAXIMIZE for one in front.objectives)
    corners = [(value_of(point, x, counts), value_of(point, y, counts)) for point in points]
    two = len(front.objectives) <= 2
    return scatter(
        marks,
        x=Axis(metric_title(x, task), log=x in logarithmic),
        y=Axis(metric_title(y, task), log=y in logarithmic),
        stairs=staircase(corners, rises_late=not falling) if two else (),
    )


def _has(metrics: Mapping[str, float], *names: str) -> bool:
    return all(name in metrics or name == NUMBER for name in names)


def _legend() -> Iterator[str]:
    for kind, words in LEGEND:
        dot = f'<circle class="{kind}" cx="6" cy="6" r="4.5"/>'
        yield f'<svg viewBox="0 0 12 12" style="width:.8rem">{dot}</svg> {words} &nbsp; '


def _history(history: HypervolumeHistory) -> Iterator[str]:
    known = [
        (float(record.sequence), record.hypervolume)
        for record in history.records
        if record.hypervolume is not None
    ]
    if len(known) > 1:
        yield "<h2>Hypervolume after each result</h2>"
        yield line(known, x=Axis("results"), y=Axis("hypervolume"))


def _importance(importance: Importance) -> Iterator[str]:
    for objective in importance.objectives:
        yield f"<h2>What matters to {escape(printable(objective.metric.replace('_', ' ')))}</h2>"
        most = max((one.total_effect for one in objective.parameters), default=0.0) or 1.0
        yield '<div class="wide"><table>'
        for one in objective.parameters[:MOST_SHARES]:
            width = 100 * one.total_effect / most
            yield (
                f"<tr><td>{escape(printable(one.name))}</td><td class='n'>{one.total_effect:.2f}</td>"
                f'<td style="width:50%"><span class="share" style="width:{width:.0f}%"></span></td></tr>'
            )
        yield "</table></div>"


def _trials(found: Report) -> Iterator[str]:
    study, custom = found.study, found.study.configuration is None
    yield f"<h2>Trials</h2><details><summary>{len(found.trials):,} trials</summary>"
    names = [objective.metric for objective in study.objectives]
    rows = [
        [
            str(trial.number),
            *(
                format_with_error(name, trial.metrics, trial.metric_standard_errors, custom=custom)
                for name in names
            ),
            f"{trial.state}" + (f": {trial.state_reason}" if trial.state_reason else ""),
            found.words[trial.id],
        ]
        for trial in found.trials[:MOST_TRIALS]
    ]
    columns = ["trial", *(name.replace("_", " ") for name in names), "state", "what"]
    yield _table(columns, rows, numeric=len(names) + 1)
    if len(found.trials) > MOST_TRIALS:
        yield f"<p>The first {MOST_TRIALS:,} of {len(found.trials):,}.</p>"
    yield "</details>"


def _settings(study: StudyRead) -> Iterator[str]:
    kept = ("kind", "configuration", "search_space", "objectives", "constraints", "budget", "parallelism",
            "seed", "proposals", "early_stopping", "replicates", "final_replicates", "race")  # fmt: skip
    shown = study.model_dump(mode="json", by_alias=True, include=set(kept))
    yield "<h2>Settings</h2><details><summary>The whole study</summary>"
    yield f"<pre>{escape(json.dumps({name: shown[name] for name in kept}, indent=2))}</pre></details>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: int) -> str:
    """Return a table whose first columns are numbers."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if place < numeric else ''}>{escape(printable(cell))}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{cells(columns, "th")}</tr>{body}</table></div>'
