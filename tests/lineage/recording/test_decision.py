"""A registration is what a stage wrote, whoever may have edited the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from lineage.errors import LineageError
from lineage.recording.decision import Registration

SOUND = {
    "model_name": "toy",
    "model_path": "models/m",
    "model_digest": "0" * 32,
    "evaluation_path": "val",
    "evaluation_digest": '"an-etag"',
    "metrics": {"AP": 1, "loss": 0.5},
    "thresholds": {"AP": 0.5},
    "verdict": "accepted",
    "reasons": ["a sentence."],
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text(json.dumps(SOUND))
    assert Registration.read(path).as_dict() == SOUND


@pytest.mark.parametrize(
    "odd",
    [
        {"model_name": "x' OR name = 'y"},
        {"model_name": ""},
        {"model_name": None},
        {"model_path": {"a": "models/m"}},
        {"model_path": "a\0b"},
        {"model_digest": "../../etc/passwd"},
        {"model_digest": ["0" * 32]},
        {"evaluation_digest": 5},
        {"metrics": "0" * 32},
        {"metrics": {"AP": "0.5"}},
        {"thresholds": [1]},
        {"verdict": True},
        {"reasons": [[]]},
        {"reasons": None},
        {"other": 1},
    ],
    ids=str,
)
def test_what_no_stage_wrote_is_a_sentence(odd: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text(json.dumps({**SOUND, **odd}))
    with pytest.raises(LineageError, match="holds no registration"):
        Registration.read(path)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"verdict": 1, "verdict": 2}']
)
def test_what_is_no_json_object_is_a_sentence(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_bytes(text)
    with pytest.raises(LineageError, match="holds no registration"):
        Registration.read(path)


def test_a_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="holds no registration"):
        Registration.read(tmp_path)
