"""Stages of a pipeline file are those that DVC makes of it, at every revision."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lineage.errors import LineageError
from lineage.identity import from_root
from lineage.repository.dvc_files import FilesOnDisk
from lineage.repository.history import History
from lineage.repository.pipelines import TEMPLATES, Definition, Pipelines
from lineage.repository.workspace import Workspace
from tests.lineage.by_dvc import assert_as_dvc
from tests.lineage.conftest import Project

PIPELINE = r"""
vars:
- flags: [true, false]
- paths: {model: models/m.bin}
- other.yaml
- more/extra.json:kinds,words
stages:
  make:
    foreach: ${flags}
    do: {cmd: "x ${item}", outs: ["made-${item}.txt"]}
  values:
    foreach: [null, 1, 2.0, 1e-3, "2020-01-01", "naïve ключ"]
    do: {cmd: "x ${item}", outs: ["v-${item}.txt": {type: model}]}
  items:
    foreach: {a: {x: 1}, "λ-ü": {x: true}}
    do: {cmd: "x ${key}", outs: ["i-${key}-${item.x}.txt": {labels: ["${key}"]}]}
  composite:
    foreach: [{x: 1}, {x: 2}]
    do: {cmd: "x ${item.x}", wdir: "deep", outs: ["c-${item.x}.txt"]}
  inline:
    vars: [{place: here}]
    wdir: ${folder}
    cmd: x ${place}
    outs: ["${place}.txt": {type: model, labels: [a], push: false}]
  local:
    wdir: deep
    vars: [local.yaml]
    cmd: x ${of_file}
    outs: ["${of_file}.txt": {cache: false}, always.txt]
  templated:
    cmd: echo \${HOME} ${dict}
    desc: ${not_there_is_fine_here}
    frozen: true
    always_changed: true
    outs:
    - ${paths.model}: {type: model, desc: d, remote: far, persist: true}
    - twice.txt: {type: model}
    - twice.txt: {labels: [b]}
    - ./odd//path.txt: {type: model}
    metrics: ["m-${flags[0]}.json": {cache: false}]
    plots: ["p-${words[1]}.csv": {x: a, y: b, push: false}]
  grid:
    matrix: {size: "${sizes}", deep: [[x], {y: 1}, z], flag: [true, null]}
    cmd: x ${key}
    outs: ["grid-${item.size}-${key}.txt"]
  kind:
    matrix: {kind: "${kinds}"}
    cmd: x ${item.kind.name}
    outs: ["kind-${item.kind.name}.txt": {type: "${item.kind.type}"}]
  group:
    cmd: x
    outs: [group.txt]
artifacts:
  m: {path: "${paths.model}", type: model}
""".replace("    desc: ${not_there_is_fine_here}\n", "    desc: said\n")
BELOW = """
stages:
  make:
    foreach: ${items}
    do: {cmd: "x ${item}", deps: [../stage.py], outs: ["${item}.txt": {type: report}]}
"""
EXTRA = {
    "kinds": [{"name": "one", "type": "model"}, {"name": "two", "type": "report"}],
    "words": ["w", "ω"],
    "folder": "not taken from here",
}
REMOVED = {"gone": "x", "group@a": "x", "make@Maybe": "x", "make@true": "x", "grid@9": "x"}


def digest(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def write_locks(project: Project) -> None:
    """Write locks of all stages as if they had run, and of some that are not there any more."""
    entries: dict[str, dict[str, Any]] = {}
    with Repo(str(project.root)) as repo:
        for stage in repo.index.stages:
            deps = [{"path": dep.def_path, "md5": digest(dep.def_path)} for dep in stage.deps]
            outs = [
                {"path": out.def_path, "md5": digest(f"{stage.name} {out.def_path}"), "size": 1}
                for out in stage.outs
            ]
            entries.setdefault(stage.path.removesuffix(".yaml"), {})[stage.name] = {
                "cmd": stage.cmd,
                "deps": deps,
                "outs": outs,
            }
    gone = {
        name: {"cmd": cmd, "outs": [{"path": "g", "md5": "0" * 32}]}
        for name, cmd in REMOVED.items()
    }
    for name, stages in entries.items():
        lock = Path(f"{name}.lock")
        YAML().dump({"schema": "2.0", "stages": {**stages, **copy.deepcopy(gone)}}, lock)


@pytest.fixture(scope="module")
def odd(new_project: Callable[[], Project]) -> Project:
    """One lock, and what it means from commit to commit."""
    project = new_project()
    project.write("params.yaml", "folder: deep\ndict: {lr: 0.1}\n")
    project.write("other.yaml", "sizes: [1, 2, big]\n")
    project.write("more/extra.json", json.dumps(EXTRA))
    project.write("deep/local.yaml", "of_file: of-file\n")
    project.write("below/params.yaml", "items: [p, q]\n")
    project.write("dvc.yaml", PIPELINE)
    project.write("below/dvc.yaml", BELOW)
    write_locks(project)
    project.release("all")
    project.write("params.yaml", "folder: deep\ndict: {lr: 0.2}\n")
    project.release("other-value")
    project.write("dvc.yaml", PIPELINE.replace("[true, false]", "[true]"))
    project.release("fewer-flags")
    project.write("other.yaml", "sizes: [2]\n")
    project.release("fewer-sizes")
    project.write("deep/local.yaml", "of_file: renamed\n")
    project.release("other-output")
    project.write("below/params.yaml", "items: [q, r]\n")
    project.release("other-items")
    project.run("git", "rm", "--quiet", "other.yaml")
    project.release("refused")
    project.write("other.yaml", "sizes: [1]\n")
    project.release("mended")
    return project


READ = ["all", "other-value", "fewer-flags", "fewer-sizes", "other-output", "other-items"]


def names(history: History, rev: str) -> set[str]:
    return {
        str(stage.execution.stage) for stage in history.snapshot(history.commits.named(rev)).stages
    }


def test_odd_pipelines_are_read_as_dvc_reads_them(odd: Project) -> None:
    history = History(Workspace.find(odd.root))
    for rev in [*READ, "mended", None]:
        assert_as_dvc(history, rev)
    assert history.unreadable == []
    assert {"make@True", "make@False", "values@None", "items@λ-ü", "grid@big-deep1-true"} <= names(
        history, "all"
    )
    assert not any("@9" in name or "gone" in name for name in names(history, "all"))
    assert names(history, "all") - names(history, "fewer-flags") == {"make@False"}


def test_what_dvc_refuses_at_a_revision_is_told_and_the_rest_is_answered(odd: Project) -> None:
    history = History(Workspace.find(odd.root))
    assert names(history, "refused") == {"below/dvc.yaml:make@q"}
    (warning,) = history.warnings
    refused = history.commits.named("refused").short
    assert warning == (
        f"at commit {refused}, DVC cannot resolve the stages of dvc.yaml (failed to parse 'vars'"
        " in 'dvc.yaml': 'other.yaml' does not exist): correct it, or restore it from git."
    )
    assert names(history, "all") > names(history, "mended")


def test_equal_files_are_resolved_once(odd: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage.repository import resolver

    resolved: list[str] = []

    def counted(content: Any, path: str, files: Any) -> dict[str, Any]:
        resolved.append(path)
        return asked(content, path, files)

    asked = resolver.resolve
    monkeypatch.setattr(resolver, "resolve", counted)
    history = History(Workspace.find(odd.root))
    for commit in history.commits.all:
        history.snapshot(commit)
    # params.yaml of `other-value`, and what each later commit changed.
    assert (resolved.count("dvc.yaml"), resolved.count("below/dvc.yaml")) == (7, 2)


def test_a_pipeline_without_templates_needs_no_dvc(odd: Project) -> None:
    program = """
import sys
from pathlib import Path
from lineage.repository.history import History
from lineage.repository.workspace import Workspace
history = History(Workspace.find(Path(sys.argv[1])))
print(len(history.snapshot(history.commits.present).stages), "dvc" in sys.modules)
"""
    plain = odd.root.parent / "plain"
    odd.run("git", "clone", "--quiet", ".", str(plain))
    (plain / "dvc.yaml").write_text("stages: {group: {cmd: x, outs: [group.txt]}}\n")
    (plain / "below/dvc.yaml").unlink()
    assert odd.run("python", "-c", program, str(plain)).stdout.split() == ["1", "False"]


def test_what_dvc_refuses_today_is_one_sentence(odd: Project, tmp_path: Path) -> None:
    project = odd.copy(tmp_path / "project")
    project.write("dvc.yaml", PIPELINE.replace("${sizes}", "${sizes.of[}"))
    history = History(Workspace.find(project.root))
    with pytest.raises(
        LineageError, match=r"^DVC cannot resolve the stages of dvc.yaml \("
    ) as said:
        history.snapshot(history.commits.present)
    assert "\n" not in str(said.value)
    assert "\x1b" not in str(said.value)


@pytest.mark.parametrize(
    "params",
    [
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a {b: [*a]}\n",
        "a: " + "[" * 5_000,
        "- " * 20_000,
        "a: 2020-02-31\n",
        "a: [1\n",
        "[1]\n",
    ],
    ids=["many", "itself", "deep", "deep list", "date", "cut", "list"],
)
def test_values_that_nothing_can_hold_are_refused(tmp_path: Path, params: str) -> None:
    (tmp_path / "params.yaml").write_text(params)
    text = b"stages: {x: {cmd: '${a}', outs: [o]}}"
    with pytest.raises(LineageError, match=r"params.yaml|dvc.yaml"):
        Pipelines(tmp_path).pipeline("dvc.yaml", text, FilesOnDisk(tmp_path))


@pytest.mark.parametrize("command", ["x", "${a}"])
@pytest.mark.parametrize(
    "values",
    [
        "a: &b0 [1, 1]\n"
        + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        "a: &a {b: [*a]}\n",
        "a: &a " + "[" * 900 + "]" * 900 + "\nb: *a\n",
    ],
    ids=["many", "itself", "deep"],
)
def test_a_pipeline_that_nothing_can_hold_is_refused(
    tmp_path: Path, values: str, command: str
) -> None:
    text = f"{values}stages: {{x: {{cmd: '{command}', outs: [o]}}}}\n".encode()
    with pytest.raises(LineageError, match=r"^dvc.yaml (holds more than|cannot be read)"):
        Pipelines(tmp_path).pipeline("dvc.yaml", text, FilesOnDisk(tmp_path))


def test_an_absolute_path_inside_is_the_relative_one_that_the_lock_has(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    outs = f'{{"{project.root}/made.txt": {{type: model}}}}'
    project.write("dvc.yaml", f"stages: {{make: {{cmd: x, outs: [{outs}]}}}}\n")
    write_locks(project)
    history = History(Workspace.find(project.root))
    assert_as_dvc(history, None)
    item = history.snapshot(history.commits.present).item("made.txt")
    assert item is not None
    assert item.kind == "model"


# Random pipelines.

WORDS = st.sampled_from(["a", "b.c", "ü", "x y", "1", "true", "null", "1e-3", "k@v", "-"])
PLAIN = WORDS | st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 1e-3, 1e30])
DEEP = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(WORDS, PLAIN, max_size=2)
VARIABLES = st.fixed_dictionaries(
    {
        "list": st.lists(DEEP, max_size=3),
        "dict": st.dictionaries(WORDS | st.integers(0, 1), DEEP, max_size=3),
        "word": PLAIN,
    }
)
USED = st.sampled_from(
    ["${item}", "${key}", "${word}", "${item.a}", "${list[0]}", "${no}", "${own}"]
)
OUTS = st.lists(
    st.builds("o{}-{}".format, st.integers(0, 1), USED)
    | USED
    | st.builds(
        lambda path, kind: {path: {"type": kind}}, USED, st.sampled_from(["model", "${word}"])
    ),
    max_size=2,
)
STAGE = st.fixed_dictionaries(
    {"cmd": st.just("x") | USED, "outs": OUTS},
    optional={
        "wdir": st.sampled_from(["sub", "${word}", "."]),
        "vars": st.sampled_from([[{"own": 1}], ["other.yaml"], ["other.yaml:own"], [{"word": 2}]]),
        "metrics": st.lists(st.builds("m-{}".format, USED), max_size=1),
    },
)
SOURCES = st.sampled_from(["${list}", "${dict}", "${word}", "${dict.a}"])
STAGES = st.dictionaries(
    st.sampled_from(["one", "two"]),
    STAGE
    | st.builds(
        lambda source, do: {"foreach": source, "do": do},
        SOURCES | st.lists(DEEP | USED, max_size=3) | st.dictionaries(WORDS, DEEP, max_size=2),
        STAGE,
    )
    | st.builds(
        lambda axes, do: {"matrix": axes, **do},
        st.dictionaries(
            st.sampled_from(["x", "y"]),
            SOURCES | st.lists(DEEP, max_size=3),
            min_size=1,
            max_size=2,
        ),
        STAGE,
    ),
    min_size=1,
    max_size=2,
)


@pytest.fixture(scope="module")
def repo(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    project = blank.copy(tmp_path_factory.mktemp("random").resolve() / "project")
    project.write("other.yaml", "own: other\n")
    project.write("sub/other.yaml", "own: below\n")
    with Repo(str(project.root)) as opened:
        yield opened


def of_dvc(repo: Repo) -> dict[str, Definition] | None:
    """Name -> stage as DVC loads it from disk; None where it refuses."""
    root = Path(repo.root_dir)
    try:
        stages = dict(load_file(repo, str(root / "dvc.yaml")).stages)
    except (DvcException, ValueError, AttributeError, TypeError, AssertionError):
        return None
    found = {}
    for name, stage in stages.items():
        wdir = Path(stage.wdir).relative_to(root).as_posix()
        outs = {
            from_root(out.def_path, wdir): out.annot.type or ("report" if out.metric else "dataset")
            for out in stage.outs
        }
        found[name] = Definition(wdir, {path: {"type": kind} for path, kind in outs.items()})
    return found


@settings(max_examples=60, deadline=None)
@given(
    params=VARIABLES,
    variables=st.just([]) | VARIABLES.map(lambda v: [{"list": v["list"]}]),
    stages=STAGES,
)
def test_random_pipelines_have_the_stages_of_dvc(
    repo: Repo, params: dict[Any, Any], variables: list[Any], stages: dict[str, Any]
) -> None:
    root = Path(repo.root_dir)
    YAML().dump(params, root / "params.yaml")
    YAML().dump({"vars": variables, "stages": stages}, root / "dvc.yaml")
    text = (root / "dvc.yaml").read_bytes()
    assume(any(sign in text for sign in TEMPLATES))  # what else DVC refuses is read all the same
    try:
        found = Pipelines(root).pipeline("dvc.yaml", text, FilesOnDisk(root)).stages
    except LineageError:
        found = None
    assert found == of_dvc(repo)
