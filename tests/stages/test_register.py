"""The verdict on a model, from the files that an evaluation left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cocopipe import params
from cocopipe.errors import UserError
from cocopipe.files import write_json, write_table
from cocopipe.stages.register import judge
from lineage import Registration
from lineage.repository.items import Item

ROOT = Path(__file__).resolve().parents[2]
MODEL = Item("models/detector", Path(), "0123.dir", "model", (), 1, 1)


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """Of a model that finds persons, and traffic lights in half of the cases."""
    write_json(tmp_path / "metrics.json", {"AP": 0.5, "AP50": 0.75, "AP_small": None})
    rows = [("person", 0.75), ("traffic light", 0.25), ("small", 0.5), ("none", None)]
    write_table(
        tmp_path / "per_category.csv",
        [{"id": place, "name": name, "ap": ap} for place, (name, ap) in enumerate(rows)],
    )
    subject = {"model": {"path": MODEL.path, "digest": MODEL.hash}}
    subject["dataset"] = {"path": "data/val", "digest": "4567.dir"}
    write_json(tmp_path / "evaluation.json", subject)
    return tmp_path


def judged(evaluation: Path, metric: str = "AP", **thresholds: float) -> Registration:
    register = params.read(ROOT / "params.yaml").register
    return judge(MODEL, evaluation, replace(register, promote_metric=metric, thresholds=thresholds))


@pytest.mark.parametrize(
    ("thresholds", "reasons"),
    [
        ({"AP": 0.5, "AP_person": 0.75, "AP_traffic light": 0.2}, ()),
        ({"AP_person": 0.8, "AP50": 0.9}, ("AP_person 0.750 < 0.8", "AP50 0.750 < 0.9")),
        ({"AP_traffic light": 0.4}, ("AP_traffic light 0.250 < 0.4",)),
        ({"AP_none": 0.1}, ("AP_none is not defined on this dataset, 0.1 is asked for",)),
        # COCO's own metric, which is of small objects and not of the category.
        ({"AP_small": 0.1}, ("AP_small is not defined on this dataset, 0.1 is asked for",)),
    ],
)
def test_metrics_and_categories_are_held_against_thresholds(
    evaluation: Path, thresholds: dict[str, float], reasons: tuple[str, ...]
) -> None:
    found = judged(evaluation, **thresholds)
    assert found.reasons == reasons
    assert found.verdict == ("rejected" if reasons else "accepted")


def test_categories_that_params_name_are_registered_beside_the_metrics(evaluation: Path) -> None:
    assert judged(evaluation).metrics == {"AP": 0.5, "AP50": 0.75}
    found = judged(evaluation, metric="AP_traffic light", AP_person=0.5)
    assert found.metrics == {"AP": 0.5, "AP50": 0.75, "AP_person": 0.75, "AP_traffic light": 0.25}


def test_a_name_that_no_figure_has_is_refused_with_those_that_there_are(evaluation: Path) -> None:
    for metric, thresholds in (("AP_dog", {}), ("AP", {"AP_dog": 0.5})):
        with pytest.raises(UserError, match="names the metric AP_dog, which the evaluation does"):
            judged(evaluation, metric, **thresholds)
    with pytest.raises(UserError, match="it has AP, AP50, AP_small, AP_person, AP_traffic light"):
        judged(evaluation, "F1")


def test_an_evaluation_of_another_model_is_refused(evaluation: Path) -> None:
    subject = json.loads((evaluation / "evaluation.json").read_text())
    write_json(evaluation / "evaluation.json", subject | {"model": {"digest": "89ab.dir"}})
    with pytest.raises(UserError, match="is of another model than models/detector"):
        judged(evaluation)
