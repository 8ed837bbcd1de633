"""The prediction is the closed form of its model, and honest on data of that model."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from service.early_stopping.learning_curves import Prediction, calibration, predict


def linear(n: int, *, noise: float, seed: int = 0) -> tuple[list[list[float]], list[float]]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2))
    finals = 0.7 + 0.05 * features[:, 0] - 0.02 * features[:, 1] + noise * rng.normal(size=n)
    return features.tolist(), finals.tolist()


def test_trials_that_are_all_the_same_predict_that_value() -> None:
    """No spread anywhere: nothing is divided by zero."""
    found = predict([[1.0, 2.0]] * 9, [0.7] * 9, [1.0, 2.0])
    assert found.location == pytest.approx(0.7)
    assert 0 < found.scale < 1


def test_the_prediction_is_that_of_sampled_parameters() -> None:
    """Draws of variance, weights and noise from the posterior written out give the same t."""
    features, finals = linear(12, noise=0.02)
    own = [0.3, -1.0]
    found = predict(features, finals, own)
    X, y = np.array(features), np.array(finals)
    Z = np.column_stack([np.ones(12), (X - X.mean(0)) / X.std(0)])
    z = np.array([1.0, *((np.array(own) - X.mean(0)) / X.std(0))])
    target = (y - y.mean()) / y.std()
    covariance = np.linalg.inv(np.eye(3) + Z.T @ Z)
    weights = covariance @ Z.T @ target
    rate = 0.1 + 0.5 * (target @ target - weights @ np.linalg.inv(covariance) @ weights)
    rng = np.random.default_rng(1)
    variances = stats.invgamma(1.0 + 6, scale=rate).rvs(200_000, random_state=rng)
    spread = np.sqrt(variances * (1.0 + z @ covariance @ z))
    draws = y.mean() + y.std() * (z @ weights + spread * rng.normal(size=200_000))
    for threshold in (0.68, 0.72, 0.76):
        assert found.chance_above(threshold) == pytest.approx((draws > threshold).mean(), abs=0.005)
    assert found.standard_deviation == pytest.approx(draws.std(), rel=0.03)


def test_more_trials_make_it_surer() -> None:
    """With little noise the value is found, and the deviation is near the noise."""
    features, finals = linear(200, noise=0.01)
    found = predict(features, finals, [1.0, 1.0])
    assert found.location == pytest.approx(0.73, abs=0.01)
    assert found.standard_deviation == pytest.approx(0.01, rel=0.3)


def test_a_chance_is_one_tail() -> None:
    """Half at the location, and the t of scipy elsewhere."""
    found = Prediction(location=0.7, scale=0.02, degrees=5)
    assert found.chance_above(0.7) == pytest.approx(0.5)
    assert found.chance_above(0.75) == pytest.approx(stats.t(5, loc=0.7, scale=0.02).sf(0.75))


def test_honest_data_are_calibrated_and_a_broken_relation_is_not() -> None:
    """Leave-one-out errors are about one deviation; with one far outlier they are many."""
    features, finals = linear(40, noise=0.02)
    assert 0.4 < calibration(features, finals) < 2
    features.append([0.1, 0.1])
    finals.append(-5.0)
    assert calibration(features, finals) > 4


def refitted(features: list[list[float]], finals: list[float]) -> float:
    """Predict each trial by a regression on all the others."""
    squares = []
    for out, final in enumerate(finals):
        rest = [position for position in range(len(finals)) if position != out]
        found = predict([features[i] for i in rest], [finals[i] for i in rest], features[out])
        squares.append(((final - found.location) / found.standard_deviation) ** 2)
    return float(np.mean(squares))


@st.composite
def trials(draw: st.DrawFn) -> tuple[list[list[float]], list[float]]:
    """Columns of few values or many, of any size, some of them constant or but for one trial, or copies."""
    n, columns = draw(st.integers(8, 14)), []
    for _ in range(draw(st.integers(2, 5))):
        scale, most = draw(st.sampled_from([1e-4, 1.0, 1e4])), draw(st.sampled_from([0, 1, 1000]))
        column = draw(st.lists(st.integers(0, most).map(float), min_size=n, max_size=n))
        if draw(st.booleans()):
            column = [0.7] * (n - 1) + [0.7 + draw(st.sampled_from([0.0, 1e-4, 1.0, 1e6]))]
        columns.append([scale * value for value in column])
    if draw(st.booleans()):
        columns[0] = columns[-1]
    *features, finals = columns
    return [list(row) for row in zip(*features, strict=True)], finals


@given(trials())
@example(([[1.0, 2.0]] * 9, [0.7] * 9))
@example(([[1.0, 2.0]] * 8 + [[3.0, 2.0]], [0.7] * 9))
@example(([[1.0, 2.0]] * 9, [0.7] * 8 + [0.9]))
@example(linear(30, noise=0.0))
def test_leaving_one_out_in_closed_form_is_what_refits_find(
    drawn: tuple[list[list[float]], list[float]],
) -> None:
    """To eight digits, for columns without spread, outliers and copies, too."""
    assert calibration(*drawn) == pytest.approx(refitted(*drawn), rel=1e-8, abs=1e-8)
