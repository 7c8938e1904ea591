"""Values that anybody may have written into a store spoil no answer about what is sound."""

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from lineage.cli import main
from lineage.tracking import artifacts, outside
from lineage.tracking.executions import Executions
from lineage.tracking.outside import PassedOver
from lineage.tracking.tag_values import hashes_tag
from tests.lineage.conftest import Project

HASH = "0123456789abcdef0123456789abcdef"

ODD = (
    "",
    "null",
    "[]",
    "1e999",
    "NaN",
    '"text"',
    "{",
    "{}",
    '{"a": 1}',
    '{"a": null}',
    '{"a": ["b"]}',
    '{"a": {"b": "c"}}',
    '{"a": NaN}',
    '{"": "' + HASH + '"}',
    '{"a": "' + HASH + '", "a": "' + HASH + '"}',
    '{"a": "it\'s"}',
    '{"a": "%"}',
    '{"a": "../../../etc/passwd"}',
    '{"a\\u0000b": "' + HASH + '"}',
    '{"\\ud800": "' + HASH + '"}',
    '{"sha256": "' + HASH + '", "see": "lineage.json"}',
    '{"see": "lineage.json"}',
    "[" * 5000,
    '{"a":' * 1500,
    "it's",
    '"; DROP TABLE runs; --',
    "../" * 20,
    "/dev/zero",
    "\x1b[31mred",
    "x" * 7000,
    "1" * 5000,
    "9" * 40,
    "-1",
)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    "read", [outside.hashes, outside.metrics, outside.profile, outside.path_in_source]
)
def test_what_is_malformed_is_named_once_and_what_is_not_is_of_the_right_kind(
    read: Callable[[str], Any], text: str
) -> None:
    passed = PassedOver()
    missing = object()
    for _ in range(2):
        found = passed.checked(read, text, "the run x", "its tag", missing)
        if found is missing:
            assert len(passed.sentences) == 1
        else:
            assert passed.sentences == []
            assert found is None or isinstance(found, dict | str)


def test_hashes_are_texts_of_which_something_can_be_looked_up() -> None:
    sound = {"a/b": HASH, "c": f"{HASH}.dir", "d": "", "http://h/e": '"an-etag"'}
    assert outside.hashes(json.dumps(sound)) == sound
    for digest in ["it's", "..", 5, None, [], HASH.upper(), f"{HASH}.file", f"{HASH}\n"]:
        with pytest.raises((ValueError, TypeError)):
            outside.hashes(json.dumps({"a": digest}))


def test_an_origin_tells_no_credentials() -> None:
    (origin,) = outside.origins({"origins": [{"name": "n", "url": "http://me:secret@h/a?token=1"}]})
    assert origin["url"] == "http://h/a"
    assert origin["size_bytes"] is None


def test_of_thousands_only_some_are_named() -> None:
    passed = PassedOver()
    for number in range(5000):
        passed.add(f"the run {number}", "its tag")
    assert len(passed.sentences) == outside.NAMED + 1
    assert "4990 more" in passed.sentences[-1]


# Real stores.


def test_hashes_beside_a_tag_are_those_that_the_tag_is_the_hash_of(
    empty_store: Path, tmp_path: Path
) -> None:
    many = {f"data/{number:04}.txt": HASH for number in range(300)}
    record = {"outs": [{"path": path, "hash": digest} for path, digest in many.items()]}
    claimed = {"outs": [*record["outs"], {"path": "raw.txt", "hash": HASH}]}
    client = MlflowClient(f"sqlite:///{shutil.copy(empty_store, tmp_path)}")
    experiment = client.create_experiment("any", artifact_location=str(tmp_path / "artifacts"))
    tags = {"dvc.signature": HASH, "dvc.stage": "make", "dvc.outs": hashes_tag(many)}
    for whole, read, warnings in ((record, many, 0), (claimed, {}, 1)):
        run = client.create_run(experiment, tags=tags)
        client.log_dict(run.info.run_id, whole, "lineage.json")
        passed = PassedOver()
        execution = Executions(client, passed).of(client.get_run(run.info.run_id))
        assert execution is not None
        assert execution.outs == read
        assert len(passed.sentences) == warnings


TAGS = (
    *("dvc.deps", "dvc.outs", "dvc.signature", "dvc.signature.after", "dvc.stage", "dvc.pipeline"),
    *("dvc.changed", "git.commit", "git.dirty", "git.repository", "dvc.exp.name"),
)
VERSION_TAGS = (
    *("dvc.hash", "dvc.data", "dvc.run", "dvc.evaluation", "verdict", "lineage.status"),
    *("git.commit", f"evaluation.{HASH}"),
)


@pytest.fixture
def spoilt(registered: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy in whose store others have written what they liked, from a seed."""
    project = registered.copy(tmp_path / "spoilt")
    rng = random.Random(7)
    client = project.client
    client.create_registered_model("odd")
    for number in range(60):
        run_id = client.create_run("0", run_name=rng.choice(ODD)[:200] or "run").info.run_id
        if number % 3:
            client.set_terminated(run_id)
        folder = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("origins.json", "lineage.json"):
            match rng.randrange(4):
                case 0:
                    (folder / name).write_text(rng.choice(ODD), errors="surrogatepass")
                case 1:
                    (folder / name).symlink_to("/dev/zero")
                case 2:
                    os.mkfifo(folder / name)
        client.create_model_version("odd", rng.choice(["/nowhere", "models:/odd/1", "x"]), run_id)
    with sqlite3.connect(project.root / "mlflow.db") as database:
        _spoil(database, rng, project)
    yield project


def _spoil(database: sqlite3.Connection, rng: random.Random, project: Project) -> None:
    """What MLflow's client itself would not let through, too."""
    sound = [run.info.run_id for stage in ("copy", "train") for run in project.runs(stage)]
    named = "SELECT key, value FROM tags WHERE run_uuid = ? AND key IN (?, ?, ?)"
    keys = ("dvc.signature", "dvc.stage", "dvc.pipeline")
    tags = [dict(database.execute(named, [run_id, *keys])) for run_id in sound]
    ids = [row[0] for row in database.execute("SELECT run_uuid FROM runs") if row[0] not in sound]
    for number, run_id in enumerate(ids):
        values: dict[str, str] = {}
        values |= {name: rng.choice(ODD) for name in rng.sample(TAGS, 6)}
        if number % 2:  # what makes a search look at it at all
            values |= rng.choice(tags)
        database.executemany(
            "INSERT OR REPLACE INTO tags (run_uuid, key, value) VALUES (?, ?, ?)",
            [(run_id, name, value) for name, value in values.items()],
        )
        times = [rng.choice([0, -(10**15), 10**17, 5]), rng.choice([None, -1, 10**17, 5])]
        database.execute(
            "UPDATE runs SET start_time = ?, end_time = ? WHERE run_uuid = ?", [*times, run_id]
        )
        dataset, digest = f"d{number}", rng.choice(ODD)[:36]
        profile, source = rng.choice(ODD), rng.choice(ODD)
        database.execute(
            "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type,"
            " dataset_source, dataset_profile) VALUES (?, 0, ?, ?, 'dvc', ?, ?)",
            [dataset, f"{number}{rng.choice(ODD)[:100]}", digest, source, profile],
        )
        database.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type,"
            " destination_id) VALUES (?, 'DATASET', ?, 'RUN', ?)",
            [f"i{number}", dataset, run_id],
        )
    for version in range(1, 61):
        database.executemany(
            "INSERT OR REPLACE INTO model_version_tags (name, version, key, value)"
            " VALUES ('odd', ?, ?, ?)",
            [(version, name, rng.choice(ODD)) for name in rng.sample(VERSION_TAGS, 4)],
        )


QUESTIONS = (
    ["log"],
    ["trace", "models:/x/1"],
    ["trace", "weights.txt"],
    ["impact", "data/made.txt"],
    ["show", "models:/x/1"],
    ["show", "HEAD"],
    ["diff", "v1", "v2"],
    ["verify"],
)


def answers(project: Project, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the verbs print as JSON, but for what they say of all that was looked at."""
    found = {}
    for words in QUESTIONS:
        started = time.monotonic()
        code = main([*words, "--json"])
        answer = json.loads(capsys.readouterr().out)
        assert time.monotonic() - started < 30
        for said in ("warnings", "skipped", "checked"):
            answer.pop(said, None)
        found[" ".join(words)] = (code, json.dumps(answer, sort_keys=True))
    return found


def test_answers_about_what_is_sound_are_as_before(
    registered: Project,
    spoilt: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(registered.root)
    before = answers(registered, capsys)
    monkeypatch.chdir(spoilt.root)
    after = answers(spoilt, capsys)
    for question, answer in before.items():
        assert after[question] == answer, question


def test_odd_runs_and_versions_can_be_asked_about_themselves(
    spoilt: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spoilt.root)
    client = spoilt.client
    runs = [run.info.run_id for run in client.search_runs(["0"], max_results=12)]
    for ref in [*runs, *(f"models:/odd/{number}" for number in range(1, 9))]:
        for verb in ("trace", "show", "impact"):
            started = time.monotonic()
            assert main([verb, ref]) in (0, 1)
            assert "Traceback" not in capsys.readouterr().err
            assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/tty", "fifo", "folder", "huge"])
def test_only_a_regular_file_of_a_modest_size_is_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / "origins.json"
    match name:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "huge":
            with path.open("wb") as file:
                file.truncate(10**9)
        case _:
            path.symlink_to(name)
    with pytest.raises(artifacts.UnreadableError):
        artifacts._of_file(path)
