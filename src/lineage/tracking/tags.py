"""Names of what the bridge writes into MLflow: every tag, context and artifact, once."""

MODEL_HASH = "dvc.hash"
"""Tag of a logged model and of a model version: the DVC hash of the model's files."""


def evaluation_tag(digest: str) -> str:
    """The tag of a model version that holds its metrics on one evaluation dataset."""
    return f"evaluation.{digest}"


RECORD = "lineage.json"
"""The artifact with the whole record, where tags and params are too small."""

ORIGINS = "origins.json"
"""The artifact of a stage that fetched bytes from outside: which, from where, and checksums."""

BACKFILLED = "lineage.backfilled"
"""Tag of a run that was written down later, from what git and DVC know."""
DIGEST_LIMIT = 36
"""Characters of a dataset's digest in MLflow. An md5 with ``.dir`` has just as many; the
checksum of a URL may have more, and stands in ``dvc.deps`` only."""
OUTPUT = "output"
"""The context of a dataset that a run wrote; MLflow has no output datasets of its own."""

INPUT = "input"
"""The context of a dataset that a stage reads, unless it names another."""


CANDIDATE = "candidate"
"""Alias of the version that was registered last."""

EVALUATION = "dvc.evaluation"
"""Tag of a version: the DVC hash of the dataset that it was evaluated on last."""


SIGNATURE = "dvc.signature"
"""The tag that every run of a stage has, and no other run."""
