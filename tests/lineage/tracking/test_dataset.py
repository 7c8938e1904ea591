"""A dataset version in MLflow leads back to its bytes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from lineage.errors import LineageError
from lineage.plugins import Facts
from lineage.tracking.dataset import DVCDatasetSource, from_dvc
from tests.lineage.conftest import Project


@pytest.fixture(scope="module")
def versions(pushed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy, in whose store the tests write."""
    return pushed.copy(tmp_path_factory.mktemp("versions") / "project")


def recorded(project: Project, rev: str, path: str) -> str:
    """The hash in the .dvc file of a revision, read without this project's code."""
    text = project.run("git", "show", f"{rev}:{path}.dvc").stdout
    return text.split("md5: ")[1].split()[0]


@pytest.fixture
def inside(versions: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(versions.root)
    return versions


@pytest.mark.parametrize("rev", ["v1", "HEAD", None])
@pytest.mark.parametrize("path", ["pictures", "one.txt", "pictures/deep/b.txt"])
def test_the_digest_is_the_dvc_hash(inside: Project, path: str, rev: str | None) -> None:
    dataset = mlflow.data.from_dvc(path, rev=rev)
    assert dataset.name == path
    if path == "pictures/deep/b.txt":
        assert dataset.digest == "51037a4a37730f52c8732586d3aaa316"  # md5 of "same"
    else:
        assert dataset.digest == recorded(inside, rev or "HEAD", path)


def test_the_present_bytes_count_and_not_the_recorded_ones(inside: Project) -> None:
    inside.write("pictures/c.txt", "not added yet")
    try:
        assert from_dvc("pictures").digest != from_dvc("pictures", rev="HEAD").digest
        assert from_dvc("pictures").profile["files"] == 3
    finally:
        (inside.root / "pictures/c.txt").unlink()


def test_a_path_that_dvc_does_not_track_is_refused(inside: Project, tmp_path: Path) -> None:
    for path, rev in [("stage.py", None), ("nothing", "v1"), (tmp_path, None)]:
        with pytest.raises(LineageError, match="is not tracked by DVC"):
            from_dvc(path, rev=rev)


def test_an_unknown_revision_is_told(inside: Project) -> None:
    with pytest.raises(LineageError, match="nowhere is no revision"):
        from_dvc("one.txt", rev="nowhere")


def test_a_dvc_project_below_the_git_root(
    new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project()
    (project.root / "ml").mkdir()
    project.run("dvc", "init", "--subdir", "--quiet", cwd="ml")
    project.write("ml/raw", "raw data")
    project.run("dvc", "add", "--quiet", "raw", cwd="ml")
    project.commit("a project in a folder")
    monkeypatch.chdir(project.root / "ml")
    assert from_dvc("raw", rev="HEAD").digest == from_dvc("raw").digest
    assert from_dvc("raw").name == "ml/raw"


def test_another_digest_than_expected_is_refused(inside: Project) -> None:
    with pytest.raises(LineageError, match="has the DVC hash"):
        from_dvc("one.txt", digest="0" * 32)


def test_a_logged_dataset_gives_its_bytes_back_in_a_clone_without_cache(
    inside: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{inside.root / 'mlflow.db'}")
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_dvc("pictures", rev="v1"), context="training")
    (logged,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert logged.dataset.digest == recorded(inside, "v1", "pictures")
    assert json.loads(logged.dataset.profile) == {"files": 2, "bytes": 9}

    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", inside.root, clone], check=True)
    monkeypatch.chdir(clone)
    source = mlflow.data.get_source(logged)
    loaded = Path(source.load(tmp_path / "out"))
    files = {path.relative_to(loaded).as_posix(): path.read_text() for path in files_of(loaded)}
    assert files == {"a.txt": "first", "deep/b.txt": "same"}
    # Nothing that links into the cache, where an edit would do damage.
    assert all(path.stat().st_nlink == 1 and not path.is_symlink() for path in files_of(loaded))
    assert Path(source.load()).name == "pictures"


def test_outside_of_any_clone_it_says_what_to_change_into(
    inside: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DVCDatasetSource("pictures", recorded(inside, "v1", "pictures"), "git@host:a.git")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LineageError, match=r"a clone of git@host:a\.git, and .* not inside"):
        source.load(tmp_path / "out")


def known_words(path: Path) -> Facts:
    """The facts of a package that knows text files."""
    files = files_of(path) if path.is_dir() else [path]
    return Facts({"words": " ".join(file.read_text() for file in files)})


def test_facts_of_a_revision_come_from_the_cache(
    inside: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineage.tracking.dataset.facts", known_words)
    assert from_dvc("pictures", rev="v1").profile == {"words": "first same", "files": 2, "bytes": 9}
    assert from_dvc("pictures", rev="HEAD").profile["words"] == "second same"
    assert from_dvc("one.txt", rev="v1").profile["words"] == "1"
    # Without the bytes, what git knows; nothing is fetched for it.
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", inside.root, clone], check=True)
    monkeypatch.chdir(clone)
    assert from_dvc("pictures", rev="v1").profile == {"files": 2, "bytes": 9}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_bytes_that_are_nowhere_are_told(inside: Project, tmp_path: Path) -> None:
    source = DVCDatasetSource("pictures", "0" * 32 + ".dir")
    with pytest.raises(LineageError, match="neither in the DVC cache nor in the DVC remote"):
        source.load(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_something_in_the_way_is_not_overwritten(inside: Project, tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="exists already"):
        from_dvc("one.txt").source.load(tmp_path)


def test_a_source_holds_nothing_of_one_revision(inside: Project) -> None:
    source = from_dvc("pictures", rev="v1").source
    assert source.to_dict() == {
        "repository": "",
        "path": "pictures",
        "digest": recorded(inside, "v1", "pictures"),
    }
    assert DVCDatasetSource.from_json(source.to_json()).to_dict() == source.to_dict()


@pytest.mark.parametrize(
    "first", ["import mlflow", "from lineage.tracking.dataset import DVCDatasetSource"]
)
def test_the_plugins_are_there_whatever_is_imported_first(inside: Project, first: str) -> None:
    script = (
        f"{first}\nimport mlflow\n"
        "from mlflow.data.dataset_source_registry import get_registered_sources as sources\n"
        "named = [each.__name__ for each in sources()]\n"
        "print(mlflow.data.from_dvc.__module__, named.count('DVCDatasetSource'))\n"
    )
    done = inside.run("python", "-W", "error::UserWarning", "-c", script)
    assert done.stdout.split() == ["lineage.tracking.dataset", "1"]
