from torchvision import models as zoo

from cocopipe.detect.network.architectures import architectures


def test_names_are_torchvisions_and_fcos_tiny_without_keypoints() -> None:
    theirs = {name for name in zoo.list_models(module=zoo.detection) if "keypoint" not in name}
    assert set(architectures()) == theirs | {"fcos_tiny"}
