"""A dataset version in MLflow leads back to its bytes."""

import hashlib
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


@pytest.mark.parametrize("rev", ["HEAD:one.txt.dvc", "HEAD^{tree}", "nothing", "HEAD\0"])
def test_what_is_no_commit_is_no_revision(inside: Project, rev: str) -> None:
    with pytest.raises(LineageError, match="is no revision of this git repository"):
        from_dvc("one.txt", rev=rev)


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


def crafted(project: Project, name: str) -> str:
    """A listing in the cache that names one file so; its hash, which is right."""
    file = "51037a4a37730f52c8732586d3aaa316"  # md5 of "same", which the cache has
    text = json.dumps([{"md5": file, "relpath": name}]).encode()
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"
    place = project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(text)
    return digest


def test_a_listing_that_leads_out_is_neither_loaded_nor_read(
    inside: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = crafted(inside, f"{tmp_path}/evil")
    with pytest.raises(LineageError, match=f"^the listing {digest} names"):
        DVCDatasetSource("pictures", digest).load(tmp_path / "out")
    project = inside.copy(tmp_path / "project")
    project.write("evil.dvc", f"outs:\n- md5: {digest}\n  hash: md5\n  path: evil\n")
    project.release("evil")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr("lineage.tracking.dataset.facts", known_words)
    assert "words" not in from_dvc("evil", rev="evil").profile
    assert not (tmp_path / "evil").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["..", "a/..", "/", "x" * 300])
def test_a_source_loads_under_a_name_that_leads_nowhere(inside: Project, path: str) -> None:
    loaded = Path(DVCDatasetSource(path, recorded(inside, "v1", "one.txt")).load())
    assert loaded.read_text() == "1"
    assert loaded.name == "data" and loaded.parent.name.startswith("dvc-")


def test_a_source_that_is_no_json_is_a_sentence() -> None:
    for text in ("", "{", "null", "[" * 900, '{"path": NaN}'):
        with pytest.raises(LineageError, match="names no path with its DVC hash"):
            DVCDatasetSource.from_json(text)


@pytest.mark.parametrize(
    "source",
    [
        [],
        None,
        {},
        {"path": "a"},
        {"path": 1, "digest": "0" * 32},
        {"path": "a", "digest": None},
        {"path": "a", "digest": "../../../etc/passwd"},
        {"path": "a", "digest": "0" * 32, "repository": ["x"]},
        {"path": "a\0b", "digest": "0" * 32},
        {"path": "", "digest": "0" * 32},
    ],
)
def test_a_source_that_somebody_else_wrote_is_a_sentence(source: object) -> None:
    with pytest.raises(LineageError, match="names no path with its DVC hash"):
        DVCDatasetSource.from_json(json.dumps(source))


def test_a_source_elsewhere_keeps_its_hash_of_another_kind(inside: Project, tmp_path: Path) -> None:
    written = {"path": "s3://bucket/a", "digest": "etag-5", "repository": ""}
    source = DVCDatasetSource.from_dict(written)
    assert source.to_dict() == written
    with pytest.raises(LineageError, match="'etag-5' is no hash by which DVC keeps"):
        source.load(tmp_path / "out")


def test_an_empty_folder_has_no_files(inside: Project) -> None:
    for rev in (None, "v1"):
        assert from_dvc("empty", rev=rev).profile["files"] == 0
    assert from_dvc("one.txt").profile["files"] == 1


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
