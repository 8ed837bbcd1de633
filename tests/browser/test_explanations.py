"""What the study's page says of a proposal, of the parameters, and of the point that it recommends."""

from playwright.sync_api import Page, expect

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.proposals import Explanation, Prediction
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Study
from service.trials import study_lifecycle
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
