from torchvision import models as zoo

from cocopipe.detect.network.architectures import architectures


def test_names_are_torchvisions_and_fcos_tiny() -> None:
    theirs = {*zoo.list_models(module=zoo.detection)}
    assert set(architectures()) == theirs | {"fcos_tiny"}
