import pytest

from cocopipe.coco.sniff import Kind, Look
from cocopipe.coco.titles import titles

BOXES, KEYPOINTS, CAPTIONS = (Look(kind, ("1.jpg",)) for kind in list(Kind)[:3])
PANOPTIC, PICTURES = (Look(kind, ("1.jpg",)) for kind in list(Kind)[3:])


def named(looks: dict[str, Look], *folders: str) -> dict[str, tuple[str, str]]:
    return {each.path: (each.split, each.document) for each in titles(looks, folders)}


@pytest.mark.parametrize(
    ("path", "folders", "split"),
    [
        ("annotations/instances_val2017.json", [], "val2017"),
        ("annotations/instances_train_v2.json", ["train_v2", "v2"], "train_v2"),
        ("annotations/panoptic_val2017.json", ["panoptic_val2017", "val2017"], "val2017"),
        ("annotations/image_info_test-dev2017.json", [], "test-dev2017"),
        ("annotations/custom_train.json", ["train2017"], "train"),
        ("annotations/fold_1.json", [], "1"),
        ("train.json", [], "train"),
        ("Validation-coco.json", [], "Validation"),
        ("constrained.json", [], "all"),
        ("labels.json", [], "all"),
        ("data/labels.json", ["data"], "all"),
        ("train/labels.json", ["data"], "train"),
        ("train/annotations/instances.json", ["images"], "train"),
        ("a/valid/_annotations.coco.json", ["valid"], "valid"),
        ("my set/result.json", ["images"], "my set"),
        ("my set/via_project_9Mar2026.json", [], "my set"),
    ],
)
def test_the_split_of_a_document(path: str, folders: list[str], split: str) -> None:
    assert named({path: BOXES}, *folders)[path][0] == split


def test_the_only_document_with_boxes_is_instances_whatever_its_name() -> None:
    looks = {
        "annotations/custom_val.json": BOXES,
        "annotations/captions_val.json": CAPTIONS,
        "annotations/person_keypoints_train.json": KEYPOINTS,
    }
    assert named(looks) == {
        "annotations/custom_val.json": ("val", "instances"),
        "annotations/captions_val.json": ("val", "captions"),
        "annotations/person_keypoints_train.json": ("train", "instances"),
    }


def test_without_annotations_a_document_is_what_its_file_is_called() -> None:
    bare = Look(Kind.BOXES, ("1.jpg",), is_bare=True)
    looks = {"image_info_test2017.json": bare, "custom_val.json": bare, "captions_x.json": bare}
    assert [document for _, document in named(looks).values()] == [
        "image_info",
        "instances",
        "captions",
    ]


def test_documents_of_a_split_keep_the_names_that_tell_them_apart() -> None:
    looks = {
        "annotations/instances_val.json": BOXES,
        "annotations/person_keypoints_val.json": KEYPOINTS,
        "annotations/stuff_val.json": BOXES,
    }
    assert {document for _, document in named(looks).values()} == {
        "instances",
        "person_keypoints",
        "stuff",
    }


def test_documents_that_tell_no_split_are_told_apart_by_their_files() -> None:
    assert named({"one.json": BOXES, "two.json": BOXES}) == {
        "one.json": ("one", "instances"),
        "two.json": ("two", "instances"),
    }
