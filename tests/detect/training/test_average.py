"""The moving average, against its formula and against torch's own."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cocopipe.detect.training.average import decay_after, moving_average

STEPS = 6


def states() -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """A network with norms, and what its state is after each step of a training."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    network[2].requires_grad_(False)
    optimizer = torch.optim.SGD([part for part in network.parameters() if part.requires_grad], 0.1)
    after = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        network(torch.rand(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        after.append(deepcopy(network.state_dict()))
    return network, after


def averaged(average: AveragedModel, network: nn.Module, after: list[dict[str, Tensor]]) -> None:
    for state in after:
        network.load_state_dict(state)
        average.update_parameters(network)


def test_it_is_what_its_formula_says() -> None:
    network, after = states()
    average = moving_average(network, 0.3)
    averaged(average, network, after)
    expected = {name: part.double() for name, part in after[0].items()}
    decays = [min(0.3, (1 + before) / (10 + before)) for before in range(1, STEPS)]
    assert decays[:4] == [2 / 11, 3 / 12, 0.3, 0.3]
    for decay, state in zip(decays, after[1:], strict=True):
        for name, part in state.items():
            expected[name] = decay * expected[name] + (1 - decay) * part.double()
    found = average.module.state_dict()
    counter = "1.num_batches_tracked"
    assert found.pop(counter) == after[-1][counter] == STEPS
    for name, part in found.items():
        assert torch.allclose(part.double(), expected[name], atol=1e-6), name
    assert not torch.equal(found["1.running_mean"], after[-1]["1.running_mean"])
    assert torch.equal(found["2.weight"], after[0]["2.weight"]), "what does not train is the same"


def test_with_its_full_decay_it_is_torchs_own() -> None:
    """From a number of steps on at which the warm-up is over."""
    network, after = states()
    ours = moving_average(network, 0.5)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    for average in (ours, theirs):
        average.update_parameters(network)
        average.n_averaged.fill_(100)
        averaged(average, network, after)
    for one, other in zip(ours.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("before", "decay"), [(1, 2 / 11), (10, 11 / 20), (10_000, 0.99)])
def test_the_decay_rises_to_what_was_asked_for(before: int, decay: float) -> None:
    assert decay_after(before, 0.99) == decay


def test_it_goes_on_from_its_state() -> None:
    network, after = states()
    whole, first, second = (moving_average(network, 0.9) for _ in range(3))
    averaged(whole, network, after)
    averaged(first, network, after[:2])
    second.load_state_dict(first.state_dict())
    averaged(second, network, after[2:])
    assert int(second.n_averaged) == STEPS
    for one, other in zip(whole.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(one, other)
