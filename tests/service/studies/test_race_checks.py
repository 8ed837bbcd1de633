"""Which studies race, and which races are refused."""

import pytest

from api_schemas.races import Race
from api_schemas.studies import StudyCreate
from service.errors import InvalidStudy
from service.studies.creation import new_study
from service.studies.race_checks import race_errors, settled_race
from service.studies.validation import validate_study
from tests.conftest import make_study_request
from tests.service.trials.test_ask_and_tell import custom_body

KNOWN = [{"metric": "trainable_parameters", "direction": "minimize"}]


def custom(**changes: object) -> StudyCreate:
    return StudyCreate.model_validate(custom_body(budget={"trials": 32}, **changes))


@pytest.mark.parametrize(
    ("request_", "pointer", "why"),
    [
        (make_study_request(budget={"trials": 7}, race={}), "/race/share", "0.25 of 7 trials is 1"),
        (make_study_request(budget={"trials": 32}, replicates=3, race={}), "/race", "3 seeds already"),
        (make_study_request(budget={"trials": 32}, objectives=KNOWN, race={}), "/race", "without a trial"),
        (custom(race={}), "/race", "set 'final_replicates'"),
    ],
    ids=["too short", "many seeds", "known", "exact"],
)
def test_a_race_that_decides_nothing_is_refused(request_: StudyCreate, pointer: str, why: str) -> None:
    """422 at the field, with what to do."""
    (error,) = race_errors(request_)
    assert error.pointer == pointer
    assert why in error.detail


def test_a_posted_race_is_checked() -> None:
    """With everything else that is wrong with the study, of either kind."""
    for request in (make_study_request(race={}), custom(race={})):
        with pytest.raises(InvalidStudy) as refused:
            validate_study(request, tenant_id="t")
        assert [error.pointer.split("/")[1] for error in refused.value.errors] == ["race"]


@pytest.mark.parametrize("share", [-0.1, 0.51, 1, "half", True])
def test_shares_outside_of_half_are_no_races(share: object) -> None:
    """The search has half of the budget at least."""
    with pytest.raises(ValueError, match="share"):
        make_study_request(race={"share": share})


def test_a_long_noisy_study_races_with_a_quarter() -> None:
    """Unless it says otherwise; short and exact ones, those with seeds anyway and custom ones do not."""
    long = {"trials": 16}
    assert settled_race(make_study_request(budget=long)) == Race(share=0.25)
    assert settled_race(make_study_request(budget=long, race={"share": 0})) == Race(share=0)
    for request in (
        make_study_request(budget={"trials": 15}),
        make_study_request(budget=long, replicates=2),
        make_study_request(budget=long, objectives=KNOWN),
        custom(final_replicates=1),
    ):
        assert settled_race(request) == Race(share=0)
    assert new_study("t", validate_study(make_study_request(budget=long), tenant_id="t")).race_share == 0.25
