"""Names of tags that the stages of this project give their runs; the bridge has its own."""

SOURCE = "download.source"
"""Which of the sources the raw data came from."""

WORKERS = "machine.workers"
"""How many processes or threads a stage was given."""

PROCESSES = "training.processes"
"""How many processes trained together; absent of one."""

DEVICE = "machine.device"
"""The device that torch computed on."""

CHOSEN = "chosen_epoch"
"""Which epoch's weights were taken, and why."""

STOPPED = "stopped_early"
"""After which epoch a training stopped early, and why; no such tag where it did not."""

WEIGHTS = "weights.published"
"""The published weights that a training began with: their name in torchvision, and SHA-256."""

MODEL = "model"
"""The version in MLflow of the model that was judged, as ``models:/name/version``."""
