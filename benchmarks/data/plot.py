"""The figures as a picture for the README."""

from pathlib import Path

from benchmarks.data.measure import Figures

OURS, PEER = "#2f6f8f", "#c9c4b8"
SHOWN = {
    "convert": ("convert, seconds", {"convert": "cocopipe"}),
    "dvc add and push": ("dvc add and push, seconds", {"tables": "cocopipe"}),
    "dvc status": ("dvc status of ten times as many small images, seconds", {"tables": "cocopipe"}),
    "reading": (
        "read and decode, images a second",
        {"Stream": "cocopipe, streamed", "Detections, Shuffled": "cocopipe, by index"},
    ),
}


def plot(figures: Figures, path: Path) -> None:
    """One row of bars for each comparison that was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [key for key in SHOWN if key in figures]
    drawing, axes = pyplot.subplots(len(shown), 1, figsize=(7, 1.5 * len(shown)), squeeze=False)
    for axis, key in zip(axes[:, 0], shown, strict=True):
        title, named = SHOWN[key]
        medians = (figures[key]["one process"] if key == "reading" else figures[key])["medians"]
        names = [named.get(name, name) for name in medians]
        colors = [
            OURS if name in named or name.startswith("Detections") else PEER for name in medians
        ]
        bars = axis.barh(names, list(medians.values()), color=colors)
        axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
        axis.set_title(title, loc="left", fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(path, dpi=120)
    pyplot.close(drawing)
