"""Random histories, whose answers are those of an oracle that knows nothing of lineage.

``python -m tests.lineage.histories --seeds 0-499 --jobs 2`` runs as many as one likes.
"""

from pathlib import Path

import pytest

from tests.conftest import Once
from tests.lineage.histories.history import Templates, run

pytestmark = [
    pytest.mark.slow,
    # Of pygtrie, which DVC uses, whose own processes do not show it.
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),
]


@pytest.fixture(scope="session")
def templates(once: Once) -> Templates:
    return Templates(Path(once("histories", lambda folder: Templates(folder).make().root)))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("seed", [44, 69, 274])
def test_the_answers_after_every_step(seed: int, templates: Templates) -> None:
    failure = run(seed, templates)
    assert failure is None, str(failure)
