"""Names of tags that the stages of this project give their runs; the bridge has its own."""

SOURCE = "download.source"
"""Which of the sources the raw data came from."""

WORKERS = "machine.workers"
"""How many processes or threads a stage was given."""

DEVICE = "machine.device"
"""The device that torch computed on."""

WEIGHTS = "weights.published"
"""The published weights that a training began with: their name in torchvision, and SHA-256."""

MODEL = "model"
"""The version in MLflow of the model that was judged, as ``models:/name/version``."""
