"""How sure a gain is, held against pycocotools and a resampling of one's own."""

import numpy as np
import pytest

from cocopipe.detect.comparison.resampling import compare
from cocopipe.detect.evaluation.score import METRICS, score
from cocopipe.errors import UserError

CATEGORIES = [{"id": 9, "name": "red"}, {"id": -2, "name": "blue"}, {"id": 4, "name": "none"}]


def scene(images: int, *, off: tuple[float, float]) -> tuple[dict, list[dict], list[dict]]:
    """Ground truth, and what two detectors found, whose boxes are so many pixels off."""
    rng = np.random.default_rng(5)
    document: dict = {
        "images": [{"id": number - 3} for number in range(images)],
        "categories": CATEGORIES,
        "annotations": [],
    }
    found: tuple[list[dict], list[dict]] = ([], [])
    for image in document["images"]:
        for _ in range(rng.integers(0, 5)):
            x, y, w, h = rng.uniform(5, 160, 4).tolist()
            about = {"image_id": image["id"], "category_id": int(rng.choice([9, -2]))}
            document["annotations"].append({"id": 0, **about, "bbox": [x, y, w, h]})
            for results, pixels in zip(found, off, strict=True):
                box = [x + rng.uniform(-pixels, pixels), y, w, h]
                results.append({**about, "bbox": box, "score": rng.uniform()})
    return document, *found


@pytest.mark.parametrize("metric", METRICS)
def test_figures_are_those_of_an_evaluation(metric: str) -> None:
    document, before, after = scene(25, off=(6, 4))
    compared = compare(document, before, after, metric)
    for results, ours in ((before, compared.before), (after, compared.after)):
        expected = score(document, results).metrics[metric]
        assert ours == (expected if expected is None else pytest.approx(expected, abs=1e-9))


def test_one_category_too() -> None:
    document, before, after = scene(25, off=(6, 4))
    compared = compare(document, before, after, "AP_red")
    for results, ours in ((before, compared.before), (after, compared.after)):
        (red,) = [row.ap for row in score(document, results).per_category if row.name == "red"]
        assert ours == pytest.approx(red, abs=1e-9)
    assert compare(document, before, after, "AP_none").before is None


def test_the_share_is_that_of_resampled_images() -> None:
    document, before, after = scene(12, off=(5, 4.5))
    share = compare(document, before, after, "AP50").share
    rng = np.random.default_rng(1)
    ids = [image["id"] for image in document["images"]]
    better = []
    for _ in range(150):
        chosen = rng.choice(ids, len(ids)).tolist()
        sets = [of_images(rows, chosen) for rows in (document["annotations"], before, after)]
        drawn = {**document, "images": [{"id": k} for k in range(len(chosen))]}
        drawn["annotations"] = sets[0]
        one, other = (score(drawn, each).metrics["AP50"] for each in sets[1:])
        better.append(other > one)
    assert share == pytest.approx(np.mean(better), abs=0.15)
    assert 0.05 < share < 0.95


def of_images(rows: list[dict], chosen: list[int]) -> list[dict]:
    return [
        {**row, "image_id": place}
        for place, image_id in enumerate(chosen)
        for row in rows
        if row["image_id"] == image_id
    ]


def test_what_is_sure_is_sure() -> None:
    document, before, after = scene(25, off=(30, 0))
    assert compare(document, before, after, "AP").share == 1
    assert compare(document, after, before, "AP").share == 0
    assert compare(document, after, after, "AP").share == 0


@pytest.mark.parametrize("metric", ["F1", "AP_green", "segm/AP"])
def test_other_metrics_are_refused(metric: str) -> None:
    with pytest.raises(UserError, match=f"{metric} can't be resampled, only COCO's metrics"):
        compare(*scene(3, off=(1, 1)), metric)
