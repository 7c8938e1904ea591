"""What others wrote into the tracking store: only into a run and a version of their own."""

import json
import os
import random
from pathlib import Path
from typing import Any

from tests.lineage.fuzz.from_python import load_source
from tests.lineage.fuzz.mutate import HASHES, PATHS, RAW, TEXTS, edited, json_text
from tests.lineage.fuzz.playground import STRAY, Playground
from tests.lineage.fuzz.spoilt import Question, Spoilt, of_all, questions


def set_tag(playground: Playground, name: str, text: object) -> None:
    playground.sql(
        "INSERT OR REPLACE INTO tags (run_uuid, key, value) VALUES (?, ?, ?)",
        *(playground.stray, name, text),
    )


def set_version_tag(playground: Playground, name: str, text: object) -> None:
    playground.sql(
        "INSERT OR REPLACE INTO model_version_tags (name, version, key, value)"
        " VALUES ('odd', 1, ?, ?)",
        *(name, text),
    )


def _text(rng: random.Random, sound: str) -> str:
    """Something in the place of a text that may be JSON."""
    if sound[:1] in "{[" and rng.random() < 0.7:
        spoilt = json_text(rng, json.loads(sound)).decode("utf-8", "replace")
    elif rng.random() < 0.4:
        spoilt = edited(rng, sound)
    else:
        spoilt = str(rng.choice([*PATHS, *HASHES, *TEXTS, *RAW]))
    return spoilt.encode("utf-8", "replace").decode()


def of_stray(playground: Playground) -> list[Question]:
    return [*questions(playground.stray), *questions(STRAY)]


def run_tag(rng: random.Random, playground: Playground) -> Spoilt:
    tags = dict(playground.sql("SELECT key, value FROM tags WHERE run_uuid = ?", playground.stray))
    tags |= {
        "dvc.signature.after": "0" * 32,
        "dvc.changed": "{}",
        "dvc.exp.name": "e",
        "error": "x",
    }
    tags |= {
        "verdict": "accepted",
        "model": "models:/odd/1",
        "git.branch": "main",
        "git.dirty": "true",
    }
    done = []
    if rng.random() < 0.4:  # so that it is about a stage that there is
        set_tag(playground, "dvc.stage", "train")
    for name in rng.sample(sorted(tags), rng.choice([1, 1, 2, 4])):
        text = _text(rng, tags[name])
        set_tag(playground, name, text)
        done.append(f"{name} = {text[:150]!r}")
    return Spoilt("; ".join(done), [*of_stray(playground), *of_all()])


def version_tag(rng: random.Random, playground: Playground) -> Spoilt:
    tags = dict(
        playground.sql(
            "SELECT key, value FROM model_version_tags WHERE name = 'odd' AND version = 1"
        )
    )
    done = []
    for name in rng.sample(sorted(tags), rng.choice([1, 1, 2, 4])):
        text = _text(rng, tags[name])
        set_version_tag(playground, name, text)
        done.append(f"{name} = {text[:150]!r}")
    if rng.random() < 0.3:
        column = rng.choice(
            ["source", "run_id", "description", "current_stage", "creation_time", "status"]
        )
        new = (
            rng.choice([10**18, -1, 0])
            if column == "creation_time"
            else _text(rng, "models:/odd/1")[:400]
        )
        playground.sql(f"UPDATE model_versions SET {column} = ? WHERE name = 'odd'", new)
        done.append(f"{column} = {new!r:.150}")
    return Spoilt("; ".join(done), [*questions(STRAY), *questions(STRAY), *of_all()])


def run_row(rng: random.Random, playground: Playground) -> Spoilt:
    """Times, names and states of a run, its metrics and params."""
    column = rng.choice(
        ["start_time", "end_time", "name", "status", "user_id", "artifact_uri", "metric", "param"]
    )
    new: Any = _text(rng, "name")[:200]
    match column:
        case "start_time" | "end_time":
            new = rng.choice([0, -1, -(10**15), 10**17, 253_402_300_800_000, None])
        case "status":
            new = rng.choice(["SCHEDULED", "FAILED", "RUNNING", "KILLED"])
        case "artifact_uri":
            odd = [
                "/dev",
                "file:///dev/zero",
                "http://127.0.0.1:1/x",
                "s3://none/x",
                "../..",
                "",
                "file:///etc",
            ]
            new = rng.choice(
                [*odd, "mlflow-artifacts:/x", "dbfs:/x", "runs:/x/y", "file://h/x", "models:/odd/1"]
            )
        case "metric":
            row = rng.choice([(1e308 * 10, 1), (0.0, 1), (-1e308 * 10, 0), (5e-324, 0)])
            playground.sql(
                "UPDATE latest_metrics SET value = ?, is_nan = ? WHERE run_uuid = ?",
                *row,
                playground.stray,
            )
            playground.sql(
                "UPDATE latest_metrics SET key = ? WHERE run_uuid = ?", new, playground.stray
            )
        case "param":
            playground.sql(
                "INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)",
                playground.stray,
                new,
                new,
            )
    if column not in ("metric", "param"):
        playground.sql(f"UPDATE runs SET {column} = ? WHERE run_uuid = ?", new, playground.stray)
    return Spoilt(f"{column} = {new!r}", [*of_stray(playground), *of_all()])


def dataset(rng: random.Random, playground: Playground) -> Spoilt:
    """The source, digest, name or profile of a dataset of others."""
    rows = playground.sql(
        "SELECT dataset_uuid, name, digest, dataset_source, dataset_profile FROM datasets"
        " WHERE name LIKE 'stray%'"
    )
    uuid, name, digest, source, profile = rng.choice(rows)
    sound = {"name": name, "digest": digest, "dataset_source": source, "dataset_profile": profile}
    sound |= {"dataset_source_type": "dvc", "dataset_schema": '{"mlflow_colspec": []}'}
    column = rng.choice([*sound, "dataset_source", "dataset_source", "digest"])
    text = _text(rng, sound[column])
    if column != "dataset_source" and column != "dataset_profile":
        text = text[:36] if column == "digest" else text[:500]
    playground.sql(f"UPDATE datasets SET {column} = ? WHERE dataset_uuid = ?", text, uuid)
    if rng.random() < 0.5:
        playground.sql(
            "DELETE FROM tags WHERE key = 'dvc.signature' AND run_uuid = ?", playground.stray
        )
    asks: list[Question] = [*of_stray(playground), *of_all()]
    asks += [lambda: load_source(playground, column, text)] * 8
    return Spoilt(f"{column} = {text[:200]!r}", asks)


def artifact(rng: random.Random, playground: Playground) -> Spoilt:
    """``lineage.json`` and ``origins.json`` of a run of others."""
    name = rng.choice(["lineage.json", "origins.json", "origins.json"])
    ((uri,),) = playground.sql("SELECT artifact_uri FROM runs WHERE run_uuid = ?", playground.stray)
    place = Path(str(uri).removeprefix("file://")) / name
    whole = json.loads(place.read_text())
    what = rng.choice(["text"] * 12 + ["link", "folder", "fifo", "huge"])
    text = b""
    place.unlink()
    match what:
        case "text":
            text = json_text(rng, whole)
            place.write_bytes(text)
        case "link":
            place.symlink_to(rng.choice(["/dev/zero", "/etc/passwd", str(place), "/proc/self/mem"]))
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case "huge":
            with place.open("wb") as file:
                file.write(rng.choice([b"[", b'{"origins": [', b" "]))
                file.truncate(rng.choice([63 * 2**20, 65 * 2**20, 2**30]))
    if name == "lineage.json":
        see = '{"sha256": "' + "0" * 64 + '", "see": "lineage.json"}'
        for tag in rng.choice([["dvc.deps"], ["dvc.outs"], ["dvc.deps", "dvc.outs"]]):
            set_tag(playground, tag, see)
    return Spoilt(f"{name}: {what} {text[:300]!r}", [*of_stray(playground), *of_all()])
