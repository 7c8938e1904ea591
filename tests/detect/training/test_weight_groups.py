from dataclasses import replace

import torch

from cocopipe.detect.network.parts import Part
from cocopipe.detect.settings import Optimizer
from cocopipe.detect.training.learner import Learner
from cocopipe.detect.training.weight_groups import FACTOR, groups
from tests.detect.small import ADAMW, CPU, TRAINING, new_detector, tiny


def test_with_one_rate_there_is_one_group_of_all_that_is_trained() -> None:
    module = new_detector(image_size=64).module
    (frozen, *_) = module.parameters()
    frozen.requires_grad_(False)
    (group,) = groups(module, ADAMW)
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    assert list(map(id, group["params"])) == list(map(id, trained))
    assert group[FACTOR] == 1


def test_a_backbone_of_its_own_rate_is_a_group_without_its_pyramid() -> None:
    module = new_detector(image_size=64).module
    others, backbone = groups(module, replace(ADAMW, backbone_rate=0.1))
    assert (others[FACTOR], backbone[FACTOR]) == (1, 0.1)
    named = {id(weight): name for name, weight in module.named_parameters()}
    assert {named[id(weight)].split(".")[0] for weight in others["params"]} == {"backbone", "head"}
    of_backbone = {".".join(named[id(weight)].split(".")[:2]) for weight in backbone["params"]}
    assert of_backbone == {"backbone.body"}
    assert len(others["params"]) + len(backbone["params"]) == len(named)


def test_a_backbone_without_a_pyramid_is_one_as_a_whole() -> None:
    module = tiny(Part.MASK).module
    _, backbone = groups(module, replace(ADAMW, backbone_rate=0.1))
    assert list(map(id, backbone["params"])) == list(map(id, module.backbone.parameters()))


def test_where_the_backbone_is_frozen_it_is_no_group() -> None:
    module = tiny(Part.MASK).module
    module.backbone.requires_grad_(False)
    (group,) = groups(module, replace(ADAMW, backbone_rate=0.1))
    assert group[FACTOR] == 1
    torch.optim.AdamW([group], lr=1)  # takes the key


def test_a_backbone_learns_at_its_own_rate() -> None:
    module = tiny(Part.MASK).module
    settings = replace(
        TRAINING,
        optimizer=Optimizer(
            name="sgd", learning_rate=1.0, weight_decay=0, momentum=0, backbone_rate=0.1
        ),
    )
    learner = Learner.of(module, settings, CPU)
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    loss = torch.stack([weight.sum() for weight in module.parameters()]).sum()
    torch.autograd.backward(loss)
    learner.descend(0.5, None)
    for name, weight in module.named_parameters():
        moved = 0.05 if name.startswith("backbone.") else 0.5
        assert torch.allclose(before[name] - weight, torch.tensor(moved), atol=1e-5)
