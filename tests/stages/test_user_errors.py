"""What a user can do wrong: one sentence, exit code 1, a FAILED run, nothing half-written."""

import errno
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cocopipe.errors import UserError
from cocopipe.stages.__main__ import _unwritable_in_a_sentence
from tests.stages.conftest import BIN, ROOT, Clone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose pipeline ran; each test undoes what it did."""
    return finished.copy(tmp_path_factory.mktemp("errors") / "clone")


@pytest.fixture
def data(shared: Clone) -> Clone:
    shared.run("git", "checkout", "--quiet", "--", "params.yaml", "dvc.lock")
    shared.run("dvc", "checkout", "--quiet", "data/raw", "data/train", "data/val")
    return shared


def sentence_of(said: str, verb: str) -> str:
    """The one line that the stage printed."""
    lines = [line for line in said.splitlines() if line.startswith(f"{verb}: ")]
    assert len(lines) == 1, said
    return lines[0].removeprefix(f"{verb}: ")


@pytest.mark.parametrize(
    ("verb", "values", "words"),
    [
        ("download", {"download.source": "sampel"}, "download.source is 'sampel'; input should"),
        ("download", {"download.source": "directory"}, "data/source"),
        ("train", {"train.weights": "params.yaml"}, "put it into models/initial"),
        ("train", {"machine.device": "cuda:7", "train.seed": 1}, "cuda:7"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_setting_is_a_sentence_and_a_failed_run(
    data: Clone, verb: str, values: dict[str, object], words: str
) -> None:
    before = len(data.runs())
    data.set_params(values)
    said = data.fails(verb)
    sentence = sentence_of(said, verb)
    assert words in sentence
    run = data.runs()[-1]
    assert len(data.runs()) == before + 1
    assert (run.data.tags["dvc.stage"], run.info.status) == (verb, "FAILED")
    assert run.data.tags["error"] == sentence
    assert not list(data.root.rglob("*.partial"))


def test_a_source_that_is_not_there(data: Clone) -> None:
    data.set(download__source="directory", download__directory__path="data/sorce")
    said = data.fails("download")
    assert "data/sorce" in said  # by DVC itself, since the folder is a dependency


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/source", "git does not track 1 (train/_annotations.coco.json)"),
        # DVC itself stops: the folder is a dependency that its copy lacks.
        ("../outside", "No such file or directory"),
    ],
)
def test_a_temporary_experiment_does_not_see_what_git_does_not_track(
    clone: Clone, path: str, words: str
) -> None:
    folder = (clone.root / path).resolve()
    (folder / "train").mkdir(parents=True)
    try:
        (folder / "train" / "_annotations.coco.json").write_text('{"images": []}')
        clone.set(download__source="directory", download__directory__path=path)
        done = clone.run("dvc", "exp", "run", "--temp", "download", ok=False)
        said = done.stdout + done.stderr
        assert done.returncode
        assert Path(path).name in said
        assert words in said
        # In the second case DVC stops before the stage begins.
        assert [run.info.status for run in clone.runs()] == ["FAILED"][: path == "data/source"]
    finally:
        shutil.rmtree(folder / "train")


def test_missing_images_are_one_error_or_are_skipped(data: Clone, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(data.root / "data/raw", source, symlinks=False)
    document = json.loads((source / "annotations/instances_sample.json").read_text())
    for image in document["images"][:7]:
        (source / "sample" / image["file_name"]).unlink()
    data.set(download__source="directory", download__directory__path=str(source))
    sentence = sentence_of(data.fails("convert"), "convert")
    assert "7" in sentence
    assert "000005.jpg" in sentence
    assert "000006.jpg" not in sentence
    assert "convert.on_missing" in sentence

    data.set(convert__on_missing="skip")
    data.repro("convert")
    assert data.runs()[-1].data.metrics["skipped_images"] == 7


def test_a_source_folder_can_be_given_to_dvc_as_the_guide_says(data: Clone, tmp_path: Path) -> None:
    clone = data.copy(tmp_path / "clone")
    shutil.copytree(clone.root / "data/raw", clone.root / "data/source", dirs_exist_ok=True)
    guide = (ROOT / "data" / "README.md").read_text()
    (block,) = re.findall(r"^```\n(git rm .*?)^```$", guide, re.DOTALL | re.MULTILINE)
    clone.run("sh", "-ec", block)
    clone.set(download__source="directory")
    clone.repro("convert")
    clone.commit("by DVC")
    assert clone.run("git", "ls-files", "data/source").stdout == ""
    (read,) = [dep for dep in clone.lock()["download"]["deps"] if dep["path"] == "data/source"]
    tracked = YAML(typ="safe").load((clone.root / "data/source.dvc").read_text())
    assert read["md5"] == tracked["outs"][0]["md5"]
    assert clone.outs() == {**data.outs(), "data/raw": clone.outs()["data/raw"]}


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """A file system of one megabyte stands in for a full disk."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small])
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
from cocopipe.stages.__main__ import _unwritable_in_a_sentence
from cocopipe.errors import UserError
from cocopipe.sources.sample import write_sample
try:
    with _unwritable_in_a_sentence():
        write_sample(Path({str(small)!r}), images=500, size=128, seed=0)
except UserError as error:
    sys.exit(str(error))
"""
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 1
    assert "is full: make room" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_may_not_be_written_is_a_sentence() -> None:
    with pytest.raises(UserError) as error, _unwritable_in_a_sentence():
        raise PermissionError(errno.EACCES, "Permission denied", "data/raw.partial")
    assert str(error.value) == (
        "data/raw.partial: Permission denied; give yourself the right to write there, and run"
        " `dvc repro` again."
    )


def test_stages_find_the_projects_interpreter_without_activation(clone: Clone) -> None:
    (clone.root / ".venv").symlink_to(BIN.parent)
    bare = {"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": "", "CONDA_PREFIX": "/usr"}
    done = clone.run(".venv/bin/dvc", "repro", "download", **bare)
    assert "Updating lock file" in done.stdout + done.stderr


def test_no_interpreter_is_a_sentence(clone: Clone) -> None:
    bare = {"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": "", "CONDA_PREFIX": ""}
    done = clone.run("bin/stage", "download", ok=False, **bare)
    assert done.returncode == 1
    assert done.stderr.startswith("bin/stage: no Python environment")
    assert "make setup" in done.stderr


def test_the_code_of_this_working_tree_runs(clone: Clone, tmp_path: Path) -> None:
    """As in a temporary experiment, whose DVC_ROOT is the tree that is installed."""
    copy = tmp_path / "copy"
    shutil.copytree(clone.root / "bin", copy / "bin")
    (copy / "src/cocopipe/stages").mkdir(parents=True)
    (copy / "src/cocopipe/__init__.py").touch()
    (copy / "src/cocopipe/stages/__init__.py").touch()
    (copy / "src/cocopipe/stages/__main__.py").write_text("print(__file__)")
    done = subprocess.run(
        [copy / "bin/stage", "download"],
        env={**clone.environment, "DVC_ROOT": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(copy / "src/cocopipe/stages/__main__.py"), done.stderr
