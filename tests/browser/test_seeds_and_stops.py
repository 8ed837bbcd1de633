"""A study's page in a real browser: seeds and their errors, learning curves, early stops, names of scores."""

import httpx
from playwright.sync_api import Page, expect

from api_schemas.trials import TrialReport, TrialState
from tests.browser.studies import (
    CURVE,
    SERIAL_24,
    add_result,
    add_seeds,
    add_stopped,
    create_study,
    drawn,
    finish_trial,
    numbers_in_table,
    open_study,
    poll,
    queue_trial,
)
from tests.conftest import API_KEY

PREDICTED = {**CURVE[1], "predicted_score": 0.72, "predicted_score_deviation": 0.03, "chance": 0.02}
REASON = "2 % chance of joining the front after measurement 2 of 3"


def test_means_over_seeds_have_bars_and_a_collapsed_member_has_a_sign(page: Page, server_url: str) -> None:
    """In plot, table and details; one seed of two is called that, and is gone with its trial."""
    study_id = create_study(server_url, replicates=2)
    add_seeds(study_id, (0.78, 0.82), 9000)
    add_seeds(study_id, (0.5, 0.5), 1000, collapsed=True)
    queue_trial(study_id, SERIAL_24)
    first_seed = {"score": 0.6, "trainable_parameters": 9500.0}
    finish_trial(TrialReport(state=TrialState.SUCCEEDED, metrics=first_seed))
    open_study(page, server_url, study_id)
    assert drawn(page)["series"]["Under way, measured so far"][0][1] == 0.6
    expect(page.get_by_test_id("trial-2")).to_contain_text("1 of 2 seeds")
    expect(page.get_by_test_id("trial-2")).to_contain_text("0.600 so far")
    httpx.post(
        f"{server_url}/v1/studies/{study_id}:cancel", headers={"Authorization": f"Bearer {API_KEY}"}
    ).raise_for_status()
    poll(page)
    expect(page.get_by_test_id("trial-2").locator(".chip")).to_have_text("cancelled")
    series = drawn(page)["series"]
    assert [[round(number, 3) for number in bar] for bar in series["front errors"]] == [
        [9000, 0.8, 9000, 9000, 0.78, 0.82]
    ]
    assert series["Collapsed"] == [[1000, 0.5]]
    assert series["Dominated"] == []
    assert series["On the front"] == [[9000, 0.8]]
    expect(page.get_by_test_id("trial-0")).to_contain_text("0.800 ± 0.020")
    expect(page.get_by_test_id("trial-1")).to_contain_text("on front, collapsed")
    expect(page.get_by_test_id("details")).to_contain_text("Score by seed: 0: 0.780")
    page.get_by_role("button", name="Trial 1", exact=True).click()
    expect(page.get_by_test_id("details")).to_contain_text("one and the same thing for every input")


def test_a_stopped_trial_shows_what_was_predicted_for_it(page: Page, server_url: str) -> None:
    """The curve ends where it was stopped; the prediction and its bar stand at the end it would have had."""
    study_id = create_study(server_url)
    add_result(study_id, 0.8, 1000)
    add_stopped(study_id, (CURVE[0], PREDICTED), reason=REASON)
    open_study(page, server_url, study_id)
    page.get_by_role("button", name="Trial 1", exact=True).click()
    details = page.get_by_test_id("details")
    expect(details).to_contain_text(REASON)
    expect(details).to_contain_text(
        "Predicted after epoch 2: 0.720 ± 0.030 at the end, a chance of 2 % to join the front."
    )
    series = drawn(page, "learning-curve")["series"]
    assert series["score"] == [[1, 0.61], [2, 0.68]]
    assert series["loss"] == [[1, 0.69], [2, 0.62]]
    assert series["train_loss"] == [[1, 0.71], [2, 0.6]]
    assert series["predicted"] == [[3, 0.72]]
    assert [round(number, 3) for number in series["predicted deviation"][0][4:]] == [0.69, 0.75]
    assert drawn(page)["series"]["Dominated"] == []


def test_the_table_can_be_narrowed_to_one_state(page: Page, server_url: str) -> None:
    """Each state that occurs has a button with its count."""
    study_id = create_study(server_url)
    add_result(study_id, 0.8, 1000)
    add_result(study_id, 0.7, 2000)
    open_study(page, server_url, study_id)
    expect(page.get_by_test_id("trial-filter")).to_be_hidden()
    add_stopped(study_id, (PREDICTED,), reason=REASON)
    page.clock.run_for(2000)
    expect(page.get_by_test_id("trial-2").locator(".chip")).to_have_text("stopped early")
    button = page.get_by_role("button", name="stopped early 1")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert numbers_in_table(page) == ["2"]
    page.get_by_role("button", name="all 3").click()
    assert numbers_in_table(page) == ["2", "1", "0"]


def test_a_score_that_is_not_accuracy_is_named(page: Page, server_url: str) -> None:
    """On the axis, in the table and in the list of studies."""
    study_id = create_study(
        server_url,
        configuration={
            "backbone": "all-MiniLM-L6-v2",
            "task": {"name": "rotten-tomatoes", "train_rows": 64, "score": "macro_f1"},
        },
    )
    add_result(study_id, 0.8, 1000)
    open_study(page, server_url, study_id)
    assert drawn(page)["y"] == "Score (macro F1, validation, more is better)"
    expect(page.get_by_role("columnheader", name="Score (macro F1)")).to_be_visible()
    expect(page.get_by_test_id("tiles")).to_contain_text("Best macro F1")
    page.get_by_role("link", name="All studies").click()
    expect(page.get_by_test_id(f"study-{study_id}")).to_contain_text("0.800 macro F1")
