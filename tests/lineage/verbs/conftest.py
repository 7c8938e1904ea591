"""What the tests of several verbs ask about."""

from pathlib import Path

import pytest

from tests.conftest import Once
from tests.lineage.conftest import Project
from tests.lineage.verbs.branches import Story, tell


@pytest.fixture(scope="session")
def story(once: Once, blank: Project) -> Story:
    """Its tests work in a `Story.copy` where they change something."""

    def make(folder: Path) -> Story:
        return tell(blank.copy(folder / "project"))

    return once("story", make)
