"""Plots of a dataset; the same figures give the same bytes."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from cocopipe.quality.statistics import MEDIUM, SMALL, Floats, Statistics

COLORS = {"train": "#1f5f8b", "val": "#e8893c", "test": "#5b8c5a"}

SHOWN = 80
"""Categories in the class-balance plot."""

DRAWN = (0.01, 1e6)
"""Pixels; a box side beyond, which only an error can be, is drawn as if it were the border."""

_PER_PANEL = 40

_DENSITY = LinearSegmentedColormap.from_list("density", ["#cfe3f1", "#1f5f8b", "#0b2239"])

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "savefig.dpi": 130,
    "text.parse_math": False,  # a category may have dollar signs in its name
}


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of this size in inches and save it, whatever the user's own settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # A name in a script that the font lacks shows boxes; that is no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path, metadata={"Software": None})


def class_balance(path: Path, splits: Mapping[str, Statistics]) -> None:
    """Plot the objects per category and split, the most frequent category first."""
    counts: dict[tuple[int, str], dict[str, int]] = {}
    for split, figures in splits.items():
        for category in figures.categories:
            counts.setdefault((category.id, category.name), {})[split] = category.objects
    ranked = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    shown = ranked[:SHOWN]
    panels = max(1, math.ceil(len(shown) / _PER_PANEL))
    rows = math.ceil(len(shown) / panels)
    most = max((count for _, per_split in shown for count in per_split.values()), default=1)
    with _figure(path, 6.4 * panels, 1.1 + 0.22 * max(rows, 4)) as figure:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for panel, ax in enumerate(axes):
            part = shown[panel * rows : (panel + 1) * rows]
            ax.set_xlim(0.7, max(most, 10) * 3)
            ax.set_xscale("log")
            _bars(ax, [name for (_, name), _ in part], [counts for _, counts in part], list(splits))
            ax.set_ylim(max(rows, 1) - 0.4, -0.6)
            ax.set_xlabel("objects (logarithmic)")
            _plain_ticks(ax.xaxis, 1, max(most, 10) * 3)
        left_out = f", the {SHOWN} most frequent of {len(ranked)}" if len(ranked) > SHOWN else ""
        axes[0].set_title(f"Objects per category{left_out}")
        axes[-1].legend(loc="lower right")


def _bars(
    ax: Axes, names: Sequence[str], counts: Sequence[Mapping[str, int]], splits: Sequence[str]
) -> None:
    thickness = 0.8 / len(splits)
    for index, split in enumerate(splits):
        values = [per_split.get(split, 0) for per_split in counts]
        places = np.arange(len(names)) + (index - (len(splits) - 1) / 2) * thickness
        ax.barh(places, values, thickness, color=COLORS[split], label=split)
        for place, value in zip(places, values, strict=True):
            ax.annotate(
                f"{value:,}",
                (max(value, 0.7), place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=5.5,
                color="#555555",
            )
    ax.set_yticks(range(len(names)), [_shortened(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")


def _shortened(name: str, limit: int = 28) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def box_sizes(path: Path, splits: Mapping[str, Statistics], boxes: Mapping[str, Floats]) -> None:
    """Plot how large the objects are.

    Args:
        path: the PNG to write.
        splits: figures by split.
        boxes: the usable boxes by split, xywh in pixels, [N, 4].
    """
    drawn = {split: np.clip(found[:, 2:], *DRAWN) for split, found in boxes.items()}
    with _figure(path, 13, 4.2) as figure:
        shares, lengths, shapes = figure.subplots(1, 3)
        _size_shares(shares, splits)
        _side_lengths(lengths, drawn)
        _width_height(shapes, np.concatenate(list(drawn.values())))


def _size_shares(ax: Axes, splits: Mapping[str, Statistics]) -> None:
    labels = ("small\n< 32²", "medium\n< 96²", "large\n≥ 96²")
    thickness = 0.8 / len(splits)
    for index, (split, figures) in enumerate(splits.items()):
        counts = (figures.sizes.small, figures.sizes.medium, figures.sizes.large)
        total = max(1, sum(counts))
        places = np.arange(3) + (index - (len(splits) - 1) / 2) * thickness
        heights = [100 * count / total for count in counts]
        bars = ax.bar(places, heights, thickness * 0.95, color=COLORS[split], label=split)
        texts = [f"{count:,}" for count in counts]
        ax.bar_label(bars, texts, padding=2, fontsize=7, color="#555555")
    ax.set_xticks(range(3), labels)
    ax.set_ylabel("share of objects, %")
    ax.set_title("Size by area in pixels")
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.12)
    ax.legend()


def _side_lengths(ax: Axes, sides: Mapping[str, Floats]) -> None:
    lengths = {split: np.sqrt(found.prod(axis=1)) for split, found in sides.items()}
    everything = np.concatenate(list(lengths.values()))
    low, high = _limits(everything)
    bins = np.geomspace(low, high, 28).tolist()
    for split, values in lengths.items():
        if len(values):
            weights = np.full(len(values), 100 / len(values))
            ax.hist(values, bins, weights=weights, histtype="step", lw=1.6, color=COLORS[split])
            ax.plot([], color=COLORS[split], label=split)
    for border in (SMALL, MEDIUM):
        ax.axvline(math.sqrt(border), color="#999999", lw=0.8, ls="--")
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    _plain_ticks(ax.xaxis, low, high)
    ax.set_xlabel("√(width x height), pixels")
    ax.set_ylabel("share of boxes, %")
    ax.set_title("Box size")
    if len(everything):
        ax.legend()


def _width_height(ax: Axes, sides: Floats) -> None:
    low, high = _limits(sides)
    bins = np.geomspace(low, high, 48)
    if len(sides):
        counts = np.histogram2d(sides[:, 0], sides[:, 1], [bins, bins])[0].T
        norm = LogNorm(vmin=1, vmax=max(10.0, counts.max()))
        mesh = ax.pcolormesh(bins, bins, np.ma.masked_equal(counts, 0), norm=norm, cmap=_DENSITY)
        bar = ax.figure.colorbar(mesh, ax=ax, label="boxes", shrink=0.8)
        _plain_ticks(bar.ax.yaxis, 1, norm.vmax or 10)
    ax.plot([low, high], [low, high], color="#999999", lw=0.8, ls="--")
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    _plain_ticks(ax.xaxis, low, high)
    _plain_ticks(ax.yaxis, low, high)
    ax.set(xlabel="width, pixels", ylabel="height, pixels", title="Box shape")
    ax.set_aspect("equal")


def _limits(values: Floats) -> tuple[float, float]:
    """A range that holds all values and is wide enough to be drawn."""
    if not values.size:
        return 1.0, 1000.0
    low, high = float(values.min()), float(values.max())
    return low / 1.2, max(high * 1.2, low * 4)


def _plain_ticks(axis: Axis, low: float, high: float) -> None:
    """Mark a logarithmic axis at 1, 2, 5, 10, … instead of powers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) > 9:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    axis.set_ticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axis.set_ticks([], minor=True)
