import ast
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cocopipe.tracking import carried as module
from cocopipe.tracking.carried import BY_MLFLOW, DISTRIBUTIONS, carried, importable

ENTRY = "cocopipe.tracking.served"


def test_all_that_is_imported_is_carried_and_nothing_that_is_not() -> None:
    code = carried(ENTRY)
    assert {ENTRY, "cocopipe.detect.serving.finder", "cocopipe.pictures.turning"} <= set(
        code.modules
    )
    others = ("training", "evaluation", "convert", "commands", "params", "recording")
    assert not [name for name in code.modules for each in others if each in name]


def test_what_others_have_to_install_is_known() -> None:
    code = carried(ENTRY)
    assert code.imports <= DISTRIBUTIONS.keys() | BY_MLFLOW
    assert code.imports >= DISTRIBUTIONS.keys()
    assert f"torch=={version('torch').partition('+')[0]}" in code.requirements()


def test_no_import_of_the_project_is_left() -> None:
    for name, text in carried(ENTRY).modules.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and "TYPE_CHECKING" not in text:
                assert str(node.module).partition(".")[0] not in ("cocopipe", "lineage"), name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two modules."""
    root = tmp_path / "src"
    (root / "cocopipe").mkdir(parents=True)
    (root / "cocopipe" / "__init__.py").write_text("raise RuntimeError")
    (root / "cocopipe" / "one.py").write_text(
        '"""A form feed \x0c from cocopipe."""\n\ndef late():\n    from cocopipe.two import (\n'
        "        VALUE,\n    )\n\n    return VALUE\n"
    )
    (root / "cocopipe" / "two.py").write_text("VALUE = 'from cocopipe.two'\n")
    monkeypatch.setattr(module, "_SOURCES", root)
    return root


def test_only_imports_are_renamed_late_ones_too(project: Path, tmp_path: Path) -> None:
    code = carried("cocopipe.one")
    assert set(code.modules) == {"cocopipe.one", "cocopipe.two"}
    code.write(tmp_path)
    before = list(sys.path)
    with importable(tmp_path, code.name):
        one = __import__(f"{code.name}.cocopipe.one", fromlist=["late"])
        assert one.late() == "from cocopipe.two"
        assert "form feed \x0c from cocopipe." in one.__doc__
    assert sys.path == before
    assert not [name for name in sys.modules if name.startswith(code.name)]


def test_other_code_has_another_name(project: Path) -> None:
    name = carried("cocopipe.one").name
    assert carried("cocopipe.one").name == name
    two = project / "cocopipe" / "two.py"
    two.write_text(two.read_text() + "\n")
    assert carried("cocopipe.one").name != name


def test_an_import_that_cannot_be_renamed_is_refused(project: Path) -> None:
    (project / "cocopipe" / "two.py").write_text("import cocopipe.one\n")
    with pytest.raises(ValueError, match=r"import cocopipe\.one has to be: from"):
        carried("cocopipe.one")
