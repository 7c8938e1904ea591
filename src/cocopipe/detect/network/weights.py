"""Where initial weights come from: torchvision's servers or a file."""

import pickle
import sys
from http.client import HTTPException
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models._api import WeightsEnum

from cocopipe.errors import UserError


def download(weights: WeightsEnum) -> None:
    """Make sure that torch's cache holds torchvision's weights.

    Raises:
        UserError: they are not there and can't be fetched, or are damaged.
    """
    try:
        weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
    except (OSError, HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"weights {weights} can't be had from {weights.url} ({reason}): put that file at "
            f"{cached_file(weights)}, or set the weights to none or to a path"
        ) from error


def cached_file(weights: WeightsEnum) -> Path:
    """Where torch's cache keeps torchvision's weights, once `download` has brought them."""
    name = str(weights.url).rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def read(path: Path) -> dict[str, Tensor]:
    """Read a state dict, ``.safetensors`` or what ``torch.save`` wrote.

    A training checkpoint that holds its state dict under ``model`` is taken too. Nothing
    but tensors and plain containers is unpickled.

    Raises:
        UserError: no such file, or not a state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"weights {path} don't exist: give a file or folder that does") from error
    except (OSError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise UserError(
            f"weights {path} can't be read as a state dict: give a .safetensors file or what "
            "torch.save(module.state_dict(), …) wrote"
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(part, Tensor) for part in state.values()):
        raise UserError(f"weights {path} hold no state dict: save module.state_dict()")
    return state
