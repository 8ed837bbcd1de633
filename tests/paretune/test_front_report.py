"""The report says what was found, and does not flatter."""

import io
import json
from pathlib import Path

from api_schemas.pareto import FrontBasis, ParetoFront
from api_schemas.proposals import Prediction
from api_schemas.tasks import Task
from paretune.console import PlainConsole
from paretune.front_report import compare_with_probe, front_table, write_front
from tests.paretune.trials import front, seed, trial

PROBE = trial(0, score=0.7, parameters=18, serial=0)
TUNED = trial(1, score=0.75, parameters=200)
WORSE = trial(2, score=0.65, parameters=300)


def test_a_front_that_does_not_beat_the_probe_says_so() -> None:
    """The user should know when a search was not worth it."""
    verdict = compare_with_probe(front([PROBE]), [PROBE, WORSE])
    assert verdict is not None
    assert verdict.startswith("No point of the front beats the linear probe (trial 0, score 0.7000)")


def test_a_front_that_beats_the_probe_names_the_best_point_on_both_splits() -> None:
    """Validation and test are told apart."""
    verdict = compare_with_probe(front([PROBE, TUNED]), [PROBE, TUNED])
    assert verdict is not None
    assert "1 of 2 points" in verdict
    assert "Best: trial 1, validation 0.7500, test 0.7400, 200 trained parameters" in verdict


def test_of_several_probes_the_best_is_the_one_to_beat() -> None:
    """The head alone at another learning rate is a probe, too."""
    better = trial(5, score=0.76, parameters=18, serial=0)
    verdict = compare_with_probe(front([better, TUNED]), [PROBE, better, TUNED])
    assert verdict is not None
    assert verdict.startswith("No point of the front beats the linear probe (trial 5, score 0.7600)")


def test_without_a_probe_nothing_is_claimed() -> None:
    """No comparison is made with what was not measured."""
    assert compare_with_probe(front([TUNED]), [TUNED]) is None


def test_the_table_shows_every_point_with_its_modules() -> None:
    """Best score first, in words a person can act on."""
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(front_table(front([PROBE, TUNED]), [PROBE, TUNED]))
    text = console.export_text()
    assert text.index("serial 4 on all 2 layers") < text.index("head only (linear probe)")


def test_means_over_seeds_show_their_standard_errors() -> None:
    """With how many seeds, so that a lucky single run is not mistaken for a tested one."""
    twice = trial(
        1,
        score=0.75,
        parameters=200,
        metric_standard_errors={"score": 0.0125, "trainable_parameters": 0.0},
        replicates=[seed(0, score=0.7625), seed(1, score=0.7375)],
    )
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(front_table(front([PROBE, twice]), [PROBE, twice]))
    text = console.export_text()
    assert "0.75 ± 0.0125" in text
    assert "200 ±" not in text
    assert "seeds" in text


def believed(shown: ParetoFront) -> ParetoFront:
    belief = {
        "believed": {"score": Prediction(mean=0.741, standard_deviation=0.012)},
        "front_probability": 0.66,
    }
    points = tuple(point.model_copy(update=belief) for point in shown.points)
    return shown.model_copy(update={"by": FrontBasis.BELIEVED, "points": points})


def test_what_is_believed_stands_beside_what_was_measured() -> None:
    """With its deviation, and the chance of being on the front."""
    console = PlainConsole(width=200, record=True, file=io.StringIO())
    console.print(front_table(believed(front([TUNED])), [TUNED]))
    text = console.export_text()
    assert "Believed Pareto front after" in text
    for told in ("score, believed", "0.75", "0.741 ± 0.012", "66%"):
        assert told in text


def test_a_believed_front_is_drawn_where_it_is_believed(tmp_path: Path) -> None:
    """Another picture than that of the measured one."""
    drawn = [
        write_front(shown, [PROBE, TUNED], folder=tmp_path / name)[1].read_bytes()
        for name, shown in (("a", front([TUNED])), ("b", believed(front([TUNED]))))
    ]
    assert drawn[0] != drawn[1]


def test_a_collapsed_point_is_flagged() -> None:
    """A constant prediction on the front is a warning, not a result."""
    constant = trial(1, score=0.5, parameters=20, collapsed=True)
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(front_table(front([constant]), [constant]))
    text = console.export_text()
    assert "collapsed: predicts one thing for every input" in text
    assert "seeds" not in text


def test_the_front_is_written_as_json_and_as_a_picture(tmp_path: Path) -> None:
    """Both files are what their names say."""
    as_json, as_plot = write_front(front([PROBE, TUNED]), [PROBE, TUNED, WORSE], folder=tmp_path / "out")
    assert [point["number"] for point in json.loads(as_json.read_text())["points"]] == [1, 0]
    assert as_plot.read_bytes().startswith(b"\x89PNG")
    assert as_plot.stat().st_size > 10_000


def test_a_front_of_several_seeds_with_a_collapsed_member_can_be_drawn(tmp_path: Path) -> None:
    """Errors on both axes and a flag change the picture; a study of another score is drawn, too."""
    task = Task.model_validate({"name": "file:a.csv", "kind": "multi_label"})
    named = PROBE.configuration.model_copy(update={"task": task})
    probe = PROBE.model_copy(update={"configuration": named})
    plain = write_front(front([probe, TUNED]), [probe, TUNED], folder=tmp_path / "plain")[1].read_bytes()
    errors = {"score": 0.02, "trainable_parameters": 20.0}
    tuned = TUNED.model_copy(update={"metric_standard_errors": errors})
    with_errors = write_front(front([probe, tuned]), [probe, tuned], folder=tmp_path / "errors")[1]
    flagged = tuned.model_copy(update={"collapsed": True})
    with_flag = write_front(front([probe, flagged]), [probe, flagged], folder=tmp_path / "flag")[1]
    assert len({plain, with_errors.read_bytes(), with_flag.read_bytes()}) == 3


def test_a_configuration_that_adds_nothing_is_drawn(tmp_path: Path) -> None:
    """A logarithmic axis has no zero, so it stands where one operation would."""

    def picture(of_the_probe: float) -> bytes:
        trials = [
            item.model_copy(update={"metrics": {"score": item.metrics["score"], "adapter_flops": flops}})
            for item, flops in ((PROBE, of_the_probe), (TUNED, 4096.0))
        ]
        score, parameters = front(trials).objectives
        added = parameters.model_copy(update={"metric": "adapter_flops"})
        drawn = front(trials).model_copy(update={"objectives": (score, added)})
        return write_front(drawn, trials, folder=tmp_path)[1].read_bytes()

    assert picture(0.0) == picture(1.0)


def test_the_front_table_names_a_score_that_is_not_accuracy() -> None:
    """Its heading says which metric was maximized."""
    task = Task.model_validate({"name": "file:a.csv", "kind": "multi_label"})
    other = PROBE.model_copy(update={"configuration": PROBE.configuration.model_copy(update={"task": task})})
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(front_table(front([other]), [other]))
    assert "score (macro F1, maximize)" in console.export_text()


def test_a_custom_study_shows_parameters_in_the_place_of_modules(tmp_path: Path) -> None:
    """No test split, no probe; one objective alone is drawn over the numbers of the trials."""
    own = {"configuration": None, "parameters": {"rate": 0.123456, "kernel": "rbf"}, "test_metrics": {}}
    trials = [
        trial(n, score=0.5 + n / 10, parameters=10.0 ** (3 - n)).model_copy(update=own) for n in range(2)
    ]
    shown = front(trials)
    lone = shown.model_copy(update={"objectives": shown.objectives[:1]})
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(front_table(shown, trials))
    text = console.export_text()
    assert "rate 0.1235, kernel rbf" in text
    assert "test score" not in text
    assert compare_with_probe(shown, trials) is None
    for number, drawn in enumerate((shown, lone)):
        _, plot = write_front(drawn, trials, folder=tmp_path / str(number))
        assert plot.stat().st_size > 0
