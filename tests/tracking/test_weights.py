import hashlib
import shutil
from pathlib import Path

import mlflow
import pytest
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights as SsdWeights

from cocopipe.tracking.weights import log_published_weights
from tests.detect.small import own_hub

SSD = "ssdlite320_mobilenet_v3_large"


@pytest.fixture
def run(tmp_path: Path, empty_store: Path) -> mlflow.entities.Run:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment("x", str(tmp_path / "artifacts"))
    mlflow.set_experiment("x")
    with mlflow.start_run() as run:
        yield run


@pytest.mark.parametrize("weights", ["DEFAULT", "COCO_V1"])
def test_published_weights_are_a_dataset_of_the_run(
    run: mlflow.entities.Run, weights: str, tmp_path: Path
) -> None:
    url, content = SsdWeights.COCO_V1.url, b"weights of others"
    with own_hub(tmp_path) as hub:
        (hub / url.rpartition("/")[2]).write_bytes(content)
        log_published_weights(SSD, weights)
    sha256 = hashlib.sha256(content).hexdigest()
    name = "SSDLite320_MobileNet_V3_Large_Weights.COCO_V1"
    found = mlflow.get_run(run.info.run_id)
    assert found.data.tags["weights.published"] == f"{name} sha256:{sha256}"
    (read,) = found.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == (name, sha256[:36])
    assert mlflow.data.get_source(read).url == url
    assert {tag.key: tag.value for tag in read.tags}["mlflow.data.context"] == "weights"


@pytest.mark.parametrize(
    ("model", "weights"), [(SSD, "none"), (SSD, "models/initial/x.pth"), ("fcos_tiny", "none")]
)
def test_other_weights_are_told_elsewhere(
    run: mlflow.entities.Run, model: str, weights: str
) -> None:
    log_published_weights(model, weights)
    found = mlflow.get_run(run.info.run_id)
    assert not found.inputs.dataset_inputs
    assert "weights.published" not in found.data.tags
