"""Where values of others come in: each border spoils one, and names the questions that meet it."""

import random
from collections.abc import Callable

from tests.lineage.fuzz.files import dvc_file, lock_file, other_file, params_file, pipeline_file
from tests.lineage.fuzz.objects import listing, object_of, registration
from tests.lineage.fuzz.playground import Playground
from tests.lineage.fuzz.revisions import git_object, reference
from tests.lineage.fuzz.spoilt import Spoilt
from tests.lineage.fuzz.store import artifact, dataset, run_row, run_tag, version_tag

BORDERS: dict[str, tuple[int, Callable[[random.Random, Playground], Spoilt]]] = {
    "listing": (20, listing),
    "run tag": (12, run_tag),
    "version tag": (8, version_tag),
    "run": (4, run_row),
    "dataset": (10, dataset),
    "artifact": (8, artifact),
    ".dvc file": (11, dvc_file),
    "lock": (11, lock_file),
    "dvc.yaml": (6, pipeline_file),
    "params": (4, params_file),
    "settings and links": (4, other_file),
    "object": (6, object_of),
    "registration": (6, registration),
    "git": (6, git_object),
    "REF": (6, reference),
}
"""Name -> of how many cases it is, and what spoils it."""
