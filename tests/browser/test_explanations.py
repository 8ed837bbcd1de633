"""What the study's page says of a proposal, of the parameters, and of the point that it recommends."""

from playwright.sync_api import Page, expect

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.proposals import Explanation, Prediction
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Study
from service.trials import study_lifecycle
from service.trials.beliefs import Belief, BelievedTrials, record_belief
from tests.browser.studies import add_result, create_study, drawn, open_study


def test_a_proposal_is_explained_and_a_point_recommended(page: Page, server_url: str) -> None:
    """Expected beside measured, chance and gain in words; bars by importance; the knee with its reason."""
    study_id = create_study(server_url)
    for score, trained in ((0.7, 770), (0.8, 1_000), (0.81, 100_000)):
        add_result(study_id, score, trained)
    parts = [ParameterImportance(name=f"peft.active_layers.{n}", total_effect=n / 10) for n in range(6)]
    whole = ParameterImportance(name="peft.active_layers.*", total_effect=0.9)
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        by_score = ObjectiveImportance(metric="score", parameters=tuple(parts), groups=(whole,))
        study_lifecycle.record_importance(session, study, Importance(observations=30, objectives=(by_score,)))
        queries.list_trials(session, study_id)[2].explanation = Explanation(
            predictions={"score": Prediction(mean=0.79, standard_deviation=0.01)},
            acquisition_value=-1.0,
            front_probability=0.354,
        ).model_dump()
    open_study(page, server_url, study_id)
    details = page.get_by_test_id("details")
    expect(details).to_contain_text("Expected score 0.790 ± 0.010, measured 0.810: 2.0 deviations above.")
    expect(details).to_contain_text("a chance of 35 % to join the front")
    expect(details).to_contain_text("Expected to add 0.3679 to the hypervolume.")
    expect(page.get_by_test_id("importance").locator("li").first).to_have_text("active layers, together90 %")
    expect(page.get_by_test_id("knee")).to_contain_text("Recommended: Trial 1 (score 0.8")
    assert drawn(page)["series"]["Recommended"] == [[1000, 0.8]]


def test_members_of_the_believed_front_are_marked(page: Page, server_url: str) -> None:
    """In the table with their chance, in the details with both numbers; the plot has what was measured."""
    study_id = create_study(server_url)
    for score, trained in ((0.7, 770), (0.8, 1_000)):
        add_result(study_id, score, trained)
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        ids = [trial.id for trial in queries.list_trials(session, study_id)]
        trials = BelievedTrials(
            ids=ids,
            means={"score": [0.71, 0.78]},
            deviations={"score": [0.01, 0.02]},
            front_probabilities=[0.25, 0.875],
            default_trial_id=None,
            lead_deviations=None,
            noise=None,
        )
        record_belief(session, study, Belief(study.front_sequence, [ids[1]], None, trials))
    open_study(page, server_url, study_id)
    expect(page.get_by_text("on front, believed, a chance of 88 %")).to_be_visible()
    expect(page.get_by_text("on front, a chance of 25 %")).to_be_visible()
    details = page.get_by_test_id("details")
    expect(details).to_contain_text("Believed: score 0.780 ± 0.020; a chance of 88 % to be on the front.")
    assert drawn(page)["series"]["On the front"] == [[770, 0.7], [1000, 0.8]]
