"""What a REF may mean, and the sentence where it means nothing or two things."""

import pytest

from lineage.cli import main
from tests.lineage.conftest import Project
from tests.lineage.written import OTHER_RUN, recorded, registered


@pytest.fixture(scope="module")
def net(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with the run and the registered version of a model."""
    project = trained.copy(tmp_path_factory.mktemp("net") / "project")
    registered(project, "net", "v1", recorded(project, "train", "v1"))
    return project


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("models:/nte@best", "no model 'nte' is registered in this tracking store; registered are"),
        ("models:/net@bets", "net has no such version or alias; it has 1 @best."),
        ("models:/net/7", "net has no such version or alias; it has 1 @best."),
        ("models:/net/one", "net has no such version or alias; it has 1 @best."),
        ("models:/@best", "names no model version"),
        ("models:/", "names no model version"),
        ("models:/m-" + "0" * 32, "this tracking store has no such model"),
        ("data.txt@vv2", "'vv2' is no git revision; known are"),
        ("dta.txt@v2", "no data is tracked as dta.txt at v2; tracked there: data.txt"),
        ("data.txt/part@v2", "is not tracked by itself at v2"),
        ("../outside.txt@v2", "no data is tracked as ../outside.txt at v2"),
        ("v1..v2", "is nothing that git, DVC or this tracking store knows"),
        (OTHER_RUN, "is nothing that git, DVC or this tracking store knows"),
        ("", "is nothing that git, DVC or this tracking store knows"),
        ("'; DROP", "is nothing that git, DVC or this tracking store knows"),
        ("@", None),
        ("HEAD~1", None),
        ("v2^{}", None),
        ("models:/net@best", None),
    ],
)
@pytest.mark.parametrize("verb", ["trace", "impact", "show"])
def test_a_typo_is_one_sentence(
    net: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    ref: str,
    told: str | None,
) -> None:
    monkeypatch.chdir(net.root)
    code = main([verb, ref])
    said = capsys.readouterr().err
    assert code == (1 if told else 0)
    if told:
        assert told in said
        assert said.startswith("lineage: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["trace", "impact", "show", "checkout", "diff", "graph"])
def test_a_prefix_of_two_hashes_lists_both(
    store: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
) -> None:
    one, other = (f"abcd{number:028}" for number in (1, 2))
    lock = (store.root / "dvc.lock").read_text()
    for stage, made in (("prepare", one), ("train", other)):
        lock = lock.replace(store.lock()[stage]["outs"][0]["md5"], made)
    store.write("dvc.lock", lock)
    monkeypatch.chdir(store.root)
    more = {"checkout": ["nowhere"], "diff": ["v1"]}.get(verb, [])
    assert main([verb, "abcd", *more]) == 1
    said = capsys.readouterr().err
    assert "abcd may mean 2 things" in said
    assert one in said
    assert other in said
    assert said.count("\n") == 1
    assert not (store.root / "nowhere").exists()
