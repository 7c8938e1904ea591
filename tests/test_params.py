"""params.yaml is checked as a whole, and an error says where."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from cocopipe.errors import UserError
from cocopipe.params import CAME_LATER, CAME_WITH_LAYOUT_2, read

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "params.yaml").read_text()


def changed(folder: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = folder / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    return path


def test_the_projects_own_file_is_right() -> None:
    params = read(ROOT / "params.yaml")
    assert params.download.source == "sample"
    with pytest.raises(AttributeError):
        params.train.epochs = 3


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    """PyYAML takes 1e-07 for a text and `on` for true."""
    path = changed(tmp_path, "learning_rate: 0.002", "learning_rate: 1e-07")
    path.write_text(path.read_text().replace("model: fcos_tiny", "model: on"))
    params = read(path)
    assert params.train.optimizer.learning_rate == 1e-07
    assert params.train.model == "on"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "epochs: 12",
            "epochs: 0",
            "train.epochs is 0; input should be greater than or equal to 1.",
        ),
        ("epochs: 12", "epochs: '12'", "train.epochs is '12'; input should be a valid integer."),
        ("epochs: 12", "epoch: 12", "train.epoch is unknown; check its spelling (and 1 more)."),
        ("  epochs: 12", "  # epochs: 12", "train.epochs is missing; give it a value."),
        (
            "source: sample",
            "source: sampel",
            "download.source is 'sampel'; input should be 'sample', 'directory', 'yolo', 'voc',"
            " 'coco' or 'huggingface'.",
        ),
        ("subset: #", "subset: x #", "convert.subset is 'x'; input should be a valid integer."),
        (
            "validation_fraction: 0.2",
            "validation_fraction: 1.0",
            "convert.validation_fraction is 1.0; input should be less than 1.",
        ),
        (
            "horizontal_flip: 0.5",
            "horizontal_flip: 1.5",
            "train.augment.horizontal_flip is 1.5; input should be less than or equal to 1.",
        ),
        (
            "crop: 0.0",
            "crop: often",
            "train.augment.crop is 'often'; input should be a valid number.",
        ),
        (
            "crop: 0.0",
            "crop: 0.0\n    flip: 0.5",
            "train.augment.flip is unknown; check its spelling.",
        ),
        (
            "scale: #",
            "scale: [0, 1] #",
            "train.augment.scale.0 is 0; input should be greater than 0.",
        ),
        (
            "eval_epochs: 1",
            "eval_epochs: 0",
            "train.eval_epochs is 0; input should be greater than or equal to 1.",
        ),
        (
            "select: best",
            "select: first",
            "train.select is 'first'; input should be 'best' or 'last'.",
        ),
        (
            "patience: #",
            "patience: 0 #",
            "train.patience is 0; input should be greater than or equal to 1.",
        ),
        ("ema: #", "ema: 1.0 #", "train.ema is 1.0; input should be less than 1."),
        ("ema: #", "ema: high #", "train.ema is 'high'; input should be a valid number."),
        (
            "name: adamw",
            "name: lion",
            "train.optimizer.name is 'lion'; input should be 'adamw' or 'sgd'.",
        ),
        (
            "name: one_cycle",
            "name: poly",
            "train.schedule.name is 'poly'; input should be 'one_cycle', 'cosine', 'step' or"
            " 'constant'.",
        ),
        ("base_url: http://", "base_url: ftp://", None),
        ("AP50: 0.5", "AP50: .inf", None),
        ("learning_rate: 0.002", "learning_rate: .nan", None),
        ("scale: #", "scale: [2.0, 1.0] #", None),
        ("  seed: 0\n  optimizer", "  seed: 99999999999999999999\n  optimizer", None),
        ("path: data/source", "path: ''", None),
        ("model_name: coco-detector", "model_name: a/b", None),
        ("train:\n", "train: [\n", None),
        (TEXT, "", None),
        (TEXT, "- a list", None),
    ],
)
def test_an_error_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str | None) -> None:
    with pytest.raises(UserError) as error:
        read(changed(tmp_path, old, new))
    said = str(error.value)
    assert said.startswith("params.yaml")
    assert "\n" not in said
    assert sentence is None or said == f"params.yaml: {sentence}"


def test_an_older_file_is_told_what_to_add(tmp_path: Path) -> None:
    came = (*CAME_WITH_LAYOUT_2,)
    gone = r"^  (splits: \{\} # of|test_fraction:|group:|shard_mb:|split:).*\n"
    text = re.sub(gone, "", TEXT, flags=re.MULTILINE)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value) == (
        f"params.yaml has no {', '.join(came)}: add splits: {{}}; test_fraction: 0.0; group:;"
        " shard_mb: 2.0; split: val, as this version's own params.yaml has them, or use commit"
        " fc238ed of cocopipe, which reads it as it is."
    )


@pytest.mark.parametrize("key", CAME_LATER)
def test_what_an_older_file_is_told_to_add_is_right(tmp_path: Path, key: str) -> None:
    values, path = YAML(typ="safe").load(TEXT), tmp_path / "params.yaml"
    *above, last = key.split(".")
    section = values
    for name in above:
        section = section[name]
    del section[last]
    YAML(typ="safe").dump(values, path)
    with pytest.raises(UserError, match=rf"has no {re.escape(key)}: add {last}:") as error:
        read(path)
    said = re.search(rf"add ({last}:.*?), as this", str(error.value))
    assert said
    section |= YAML(typ="safe").load(said[1])
    YAML(typ="safe").dump(values, path)
    read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git checkout"):
        read(tmp_path / "params.yaml")


def test_params_are_read_without_torch() -> None:
    """A wrong value is told at once, and not after the seconds that torch takes."""
    code = "import sys, cocopipe.params; print('torch' in sys.modules, 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def leaves(section: dict[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def another(value: object) -> str:
    """A value of about the same kind, as `dvc exp run -S` takes it."""
    if value == {}:
        return "{}"
    if isinstance(value, list):
        return "[other]"
    return str(value + 1) if isinstance(value, int | float) else "other"


def test_dvc_rewrites_the_line_of_a_param_and_no_other(tmp_path: Path) -> None:
    """`dvc exp run -S` reads the whole file and writes it again, in a style of its own."""
    path = tmp_path / "params.yaml"
    names = dict(leaves(YAML(typ="safe").load(TEXT)))
    assert len(names) > 40
    for name, value in names.items():
        path.write_text(TEXT)
        apply_overrides(path, [f"{name}={another(value)}"])
        pairs = list(zip(TEXT.splitlines(), path.read_text().splitlines(), strict=True))
        changed = [(before, after) for before, after in pairs if before != after]
        assert len(changed) == (value != {}), name


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (
            "+download.directory.splits.train={images: pictures, annotations: [a.json]}",
            "~download.directory.splits.train",
        ),
        ("train.augment.scale=[0.5,2.0]", "train.augment.scale=null"),
        ("download.coco.splits=[train2017,val2017]", "download.coco.splits=[val2017]"),
        ("train.gradient_clip=null", "train.gradient_clip=10.0"),
    ],
)
def test_what_dvc_wrote_can_be_taken_back(tmp_path: Path, there: str, back: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    apply_overrides(path, [there])
    assert path.read_text() != TEXT
    read(path)
    apply_overrides(path, [back])
    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    ("name", "value"),
    [("eval_epochs", 3), ("select", "last"), ("patience", 5), ("ema", 0.999)],
)
def test_what_is_empty_or_not_can_be_set_for_an_experiment(
    tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    apply_overrides(path, [f"train.{name}={value}"])
    assert getattr(read(path).train, name) == value
