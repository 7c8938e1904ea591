"""Entry points of installed packages: asked, passed over, or told to be broken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineage import plugins
from lineage.environment import missing_packages
from lineage.errors import LineageError

CODE = "def facts(path):\n    return {'profile': {'rows': 7}}\n"
BROKEN = "import nothing_of_this_name\n" + CODE
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Make a package that is found first, with an entry point for facts."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(module: str, code: str, *, extra: str = "", needs: str = "") -> None:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n"
        if extra:
            metadata += f"Provides-Extra: {extra}\n"
        if needs:
            metadata += f"Requires-Dist: {needs}\n"
        (info / "METADATA").write_text(metadata)
        ending = f" [{extra}]" if extra else ""
        (info / "entry_points.txt").write_text(f"[lineage.facts]\nx = {module}:facts{ending}\n")

    plugins._plugins.cache_clear()
    yield write
    plugins._plugins.cache_clear()


def test_a_package_is_asked(install: Install, tmp_path: Path) -> None:
    install("rows_of_mine", CODE)
    assert plugins.facts(tmp_path).profile == {"rows": 7}


def test_a_broken_entry_point_is_told_with_its_package(install: Install) -> None:
    install("broken_of_mine", BROKEN)
    with pytest.raises(LineageError) as error:
        plugins.check()
    assert str(error.value) == (
        "the entry point 'broken_of_mine:facts' of lineage.facts cannot be loaded (No module named"
        " 'nothing_of_this_name'): correct it in the pyproject.toml of broken_of_mine, and install"
        " that package again."
    )


def test_one_whose_extra_is_not_installed_is_passed_over(install: Install, tmp_path: Path) -> None:
    install("optional_of_mine", BROKEN, extra="all", needs="nothing-of-this-name; extra == 'all'")
    plugins.check()
    assert plugins.facts(tmp_path).profile == {}


def test_one_whose_extra_is_installed_is_asked(install: Install, tmp_path: Path) -> None:
    install("installed_of_mine", CODE, extra="all", needs="pygit2; extra == 'all'")
    assert plugins.facts(tmp_path).profile == {"rows": 7}


def test_one_whose_extra_is_installed_and_that_is_broken_is_told(install: Install) -> None:
    install("both_of_mine", BROKEN, extra="all", needs="pygit2; extra == 'all'")
    with pytest.raises(LineageError, match="'both_of_mine:facts"):
        plugins.check()


@pytest.mark.parametrize(
    ("needs", "missing"),
    [
        ("pygit2; extra == 'all'", []),
        ("nothing-here; extra == 'all'", ["nothing-here"]),
        ("nothing-here[more]>=2; extra == 'all' and python_version >= '3'", ["nothing-here"]),
        ("nothing-here; extra == 'all' and python_version < '3'", []),
        ("nothing-here; extra == 'other'", []),
        ("nothing-here", []),
        ("nothing-here; python_version >= '3'", []),
    ],
)
def test_what_an_extra_lacks(install: Install, needs: str, missing: list[str]) -> None:
    install("needy_of_mine", CODE, extra="all", needs=needs)
    assert missing_packages("needy_of_mine", "all") == missing


def test_what_is_not_installed_lacks_nothing_that_is_known() -> None:
    assert missing_packages("nothing-of-this-name", "all") == []


def test_all_of_the_pipeline_is_installed_here() -> None:
    assert missing_packages("cocopipe", "pipeline") == []
