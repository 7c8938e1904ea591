"""Names of what the bridge writes into MLflow: every tag, context and artifact, once.

``docs/lineage.md`` tells users of each.
"""

# Tags of a run.

PIPELINE = "dvc.pipeline"
"""The pipeline file, relative to the root of the git repository."""

STAGE = "dvc.stage"
"""The stage's name in that file."""

SIGNATURE = "dvc.signature"
"""What determines a stage's result. Every run of a stage has it, and no other run."""

SIGNATURE_AFTER = "dvc.signature.after"
"""The signature that DVC recorded, where something changed while the stage ran."""

CHANGED = "dvc.changed"
"""What changed while the stage ran: path or param -> before and after, as JSON."""

DEPS = "dvc.deps"
"""Path -> DVC hash of all that a stage read, code included, as JSON."""

OUTS = "dvc.outs"
"""The same for what it wrote; absent where the stage declares none."""

COMMIT = "git.commit"
"""The commit that was checked out; of a model version, the one of its run."""

BRANCH = "git.branch"
DIRTY = "git.dirty"
"""``true`` where code differed from the commit."""

REPOSITORY = "git.repository"
"""The URL of ``origin``, without credentials."""

ROOT = "git.root"
"""The first commit of the repository: tells those apart that have no ``origin``."""

EXPERIMENT = "dvc.exp.name"
"""The DVC experiment that the run was part of."""

BACKFILLED = "lineage.backfilled"
"""``true`` for a run that was written down later, from what git and DVC know."""

WAITED = "lineage.waited"
"""What a run was called until its store was there, which it was not when the run began."""

ERROR = "error"
"""The sentence that a failed stage ended with."""

# Tags of logged models and of model versions.

MODEL_HASH = "dvc.hash"
"""The DVC hash of the model's files."""

DATA = "dvc.data"
"""Path -> DVC hash of what the model was made of, as JSON."""

RUN = "dvc.run"
"""The run that made the model."""

STATUS = "lineage.status"
"""How sure that is; see `lineage.tracking.producer.Status`."""

VERDICT = "verdict"
"""What the pipeline decided about a version."""

SAID = "dvc.said"
"""Name of a tag of a version -> when its verdict or evaluation was said, and at which commit,
as JSON."""

EVALUATION = "dvc.evaluation"
"""The DVC hash of the dataset that a version was evaluated on last."""

EVALUATION_PREFIX = "evaluation."
"""Before the DVC hash of a dataset: the metrics of a version on it, as JSON."""


def evaluation_tag(digest: str) -> str:
    """The tag of a model version that holds its metrics on one evaluation dataset."""
    return f"{EVALUATION_PREFIX}{digest}"


def is_evaluation(tag: str) -> bool:
    """Whether a tag of a model version holds its metrics on one dataset."""
    return tag.startswith(EVALUATION_PREFIX)


# Tags of registered models.

PROMOTION_PREFIX = "promotion."
"""Before a time: which version an alias was given at that time, by whom and why, as JSON. Every
promotion has a tag of its own, and none is ever changed."""


# Tags of the experiment, aliases, contexts and artifacts.

EXPERIMENT_KIND = "mlflow.experimentKind"
"""Which of its modes MLflow's page opens in."""

CANDIDATE = "candidate"
"""Alias of the version that was registered last."""

CHAMPION = "champion"
"""Alias of the version that is in use, which promotions move."""

INPUT = "input"
"""The context of a dataset that a stage reads, unless it names another."""

OUTPUT = "output"
"""The context of a dataset that a run wrote; MLflow has no output datasets of its own."""

RECORD = "lineage.json"
"""The artifact with the whole record, where tags and params are too small."""

ORIGINS = "origins.json"
"""The artifact of a stage that fetched bytes from outside: which, from where, and checksums."""

# Limits.

REGISTRY_TAG_LIMIT = 5000
"""Characters of a registered model's tag that every database takes."""

DIGEST_LIMIT = 36
"""Characters of a dataset's digest in MLflow. An md5 with ``.dir`` has just as many; the
checksum of a URL may have more, and stands in `DEPS` only."""

TAG_LIMIT = 8000
"""Characters of a run's tag; MLflow cuts longer ones without a word."""

PARAM_LIMIT = 6000
"""Characters of a param; MLflow cuts longer ones without a word."""

PARAMS_A_BATCH = 100
"""How many params MLflow takes at once."""
