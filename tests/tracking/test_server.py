"""A model behind a real `mlflow models serve`, asked over HTTP."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import requests
from PIL import Image

from tests.conftest import free_port, served
from tests.tracking.conftest import Logged

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
PORT = "5001"
"""That of the guide."""

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(logged: Logged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The model, served where another version of this project is what would be imported."""
    folder = tmp_path_factory.mktemp("served")
    for package in ("cocopipe", "lineage"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("raise ImportError('another version')")
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "models", "serve"]
    command += ["--model-uri", str(logged.plain), "--env-manager", "local", "--port", str(port)]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with served(command, environment, folder, f"http://127.0.0.1:{port}/ping"):
        yield f"http://127.0.0.1:{port}/invocations"


def photo(kind: str = "JPEG", size: tuple[int, int] = (120, 90)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, kind)
    return file.getvalue()


PHOTO = photo()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def records(image: Any, **params: Any) -> dict[str, Any]:
    """The body of a request for one image."""
    return {"dataframe_records": [{"image": image}], **({"params": params} if params else {})}


def bomb(frames: int, side: int) -> bytes:
    """Some kilobytes that ask for a gigabyte."""
    file = io.BytesIO()
    first, *others = (Image.new("L", (side, side), number) for number in range(frames))
    first.save(file, "GIF" if others else "PNG", save_all=bool(others), append_images=others)
    return file.getvalue()


def answer(server: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = requests.post(server, json=body, timeout=60)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def test_it_answers_what_the_model_does_without_a_server(server: str, logged: Logged) -> None:
    images = [PHOTO, photo("PNG", (40, 200))]
    table = pd.DataFrame({"image": images})
    params = {"score_threshold": 0.0, "max_detections": 7}
    direct = mlflow.pyfunc.load_model(str(logged.plain)).predict(table, params=params)
    body = {"dataframe_split": {"columns": ["image"], "data": [[text(each)] for each in images]}}
    found = answer(server, {**body, "params": params})
    assert found == json.loads(json.dumps(direct.to_dict(orient="records")))
    assert [len(row["boxes"]) for row in found] == [7, 7]
    assert [(row["width"], row["height"]) for row in found] == [(120, 90), (40, 200)]
    assert found[0]["scores"] == sorted(found[0]["scores"], reverse=True)
    names = {3: "red", 7: "blue"}
    assert [names[each] for each in found[0]["category_ids"]] == found[0]["category_names"]


def test_params_have_defaults_and_text_may_have_line_breaks(server: str) -> None:
    wrapped = base64.encodebytes(PHOTO).decode()
    (by_default,) = answer(server, records(wrapped))
    assert by_default == answer(server, records(wrapped, score_threshold=0.3))[0]
    assert len(answer(server, records(wrapped, score_threshold=0))[0]["boxes"]) > len(
        by_default["boxes"]
    )


def test_tables_of_other_kinds_are_taken(server: str) -> None:
    expected = answer(server, records(text(PHOTO)))
    csv = requests.post(
        server, f"image\n{text(PHOTO)}\n", headers={"Content-Type": "text/csv"}, timeout=60
    )
    parquet = io.BytesIO()
    pd.DataFrame({"image": [PHOTO]}).to_parquet(parquet)
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    other = requests.post(server, parquet.getvalue(), headers=kind, timeout=60)
    assert csv.json()["predictions"] == other.json()["predictions"] == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dataframe_records": []}, "missing inputs ['image']"),
        ({"dataframe_split": {"columns": ["image"], "data": []}}, "the table has no rows"),
        ({"dataframe_records": [{"picture": text(PHOTO)}]}, "missing inputs ['image']"),
        ({}, "exactly one of the input fields"),
        ({"dataframe_records": "image"}, "must be a list of records"),
        (records(None), "Failed to convert column image"),
        (records(5), "Failed to convert column image"),
        (records("a"), "Invalid base64-encoded string"),
        (records("no base64, but words!"), "image"),
        (records(""), "image 0 can't be looked at: it is no JPEG, PNG, WebP"),
        (records(text(b"words")), "image 0 can't be looked at: it is no JPEG, PNG, WebP"),
        (records(text(PHOTO[:-300])), "image 0 can't be looked at"),
        (records(text(photo("PNG")[:-300])), "image 0 can't be looked at: its end is missing"),
        (records(text(bomb(1, 14_000))), "it has more than 178,956,970 pixels"),
        (records(text(bomb(24, 3_000))), "all its frames have more than 178,956,970 pixels"),
        (records(text(PHOTO), score_threshold=1.5), "score_threshold is 1.5: give a number"),
        (records(text(PHOTO), score_threshold=-0.1), "score_threshold is -0.1: give a number"),
        (records(text(PHOTO), score_threshold=float("nan")), "score_threshold is nan"),
        (records(text(PHOTO), score_threshold="half"), "Invalid parameters found"),
        (records(text(PHOTO), score_threshold=None), "score_threshold is null: give it a value"),
        (records(text(PHOTO), max_detections=0), "max_detections is 0: give a number"),
        (records(text(PHOTO), max_detections=1.5), "Invalid parameters found"),
        (records(text(PHOTO), upright="yes"), "Invalid parameters found"),
        ({**records(text(PHOTO)), "params": [1]}, "Parameters must be a dictionary"),
    ],
)
def test_what_is_malformed_is_refused_with_a_sentence(
    server: str, body: dict[str, Any], said: str
) -> None:
    response = requests.post(server, json.dumps(body), headers=JSON, timeout=60)
    assert response.status_code == 400, response.text
    told = response.json()
    assert said in told["message"]
    assert "stack_trace" not in told
    assert requests.get(server.replace("invocations", "ping"), timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"image", "text/plain", 415),
        (b"image\n\xff", "text/csv", 400),
        (b"no parquet", "application/vnd.apache.parquet", 400),
    ],
)
def test_bodies_of_other_kinds_are_refused(
    server: str, body: bytes, kind: str, status: int
) -> None:
    response = requests.post(server, body, headers={"Content-Type": kind}, timeout=60)
    assert response.status_code == status, response.text


def test_no_file_of_the_server_is_read_for_a_request(server: str) -> None:
    place = str(Path(__file__).resolve())
    assert requests.post(server, json=records(place), timeout=60).status_code == 400
    csv = requests.post(
        server, f"image\n{place}\n", headers={"Content-Type": "text/csv"}, timeout=60
    )
    assert csv.status_code == 400
    assert "its text is no base64" in csv.json()["message"]


def test_mlflow_passes_over_params_that_it_does_not_know(server: str) -> None:
    """The guide says so; a model is not told of them."""
    found = answer(server, records(text(PHOTO), treshold=0.0))
    assert found == answer(server, records(text(PHOTO)))


def test_fifty_requests_at_once_are_all_answered_alike(server: str) -> None:
    body = json.dumps(records(text(PHOTO), score_threshold=0.0))

    def ask(_number: int) -> tuple[int, str]:
        response = requests.post(server, body, headers=JSON, timeout=120)
        return response.status_code, response.text

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    assert len(answers) == 50
    assert {status for status, _ in answers} == {200}
    assert len({answer for _, answer in answers}) == 1


def test_requests_with_other_params_at_once_do_not_mix(server: str) -> None:
    bodies = [
        records(text(PHOTO), score_threshold=0.0, max_detections=1 + n % 5) for n in range(20)
    ]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda body: answer(server, body), bodies))
    assert [len(found[0]["boxes"]) for found in answers] == [1 + n % 5 for n in range(20)]


def test_the_line_of_the_guide_is_answered(server: str, tmp_path: Path) -> None:
    (line,) = re.findall(r"^printf .*?^$", GUIDE.read_text() + "\n", re.MULTILINE | re.DOTALL)
    line = line.partition("```")[0]
    assert f"http://127.0.0.1:{PORT}/invocations" in line
    (tmp_path / "photo.jpg").write_bytes(photo(size=(1200, 900)))  # too long for an argument
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line.replace(PORT, server.split(":")[2].split("/")[0])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["predictions"]
    assert (found["width"], found["height"]) == (1200, 900)
