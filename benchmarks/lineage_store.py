"""A large tracked project, to measure the ``lineage`` command on.

    python -m benchmarks.lineage_store DIR

A real git repository with a DVC project and a real MLflow sqlite store. They hold what the
recording side of lineage writes in months of work; only the work is made up. It is what is
left after ``dvc gc --all-commits --all-experiments``: the DVC cache has the bytes of every
commit and of every registered model, and those of the other experiments are nowhere.
"""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.tracked_project.history import Change, Size, play
from benchmarks.tracked_project.pipeline import MODEL_NAME, TRAIN
from benchmarks.tracked_project.repository import write_repository
from benchmarks.tracked_project.store import CHAMPION, write_store


@dataclass(frozen=True)
class Generated:
    """Where it is, and what is worth asking about.

    Attributes:
        root: The repository.
        store_uri: The MLflow store.
        version: ``models:/NAME/N``, the champion.
        alias: ``models:/NAME@champion``, the same.
        run: The id of the run that trained it.
        dataset: The DVC hash of ``data/train`` in the middle of history.
        commit: The full hash of the commit that brought it.
    """

    root: Path
    store_uri: str
    version: str
    alias: str
    run: str
    dataset: str
    commit: str


def generate(
    root: Path,
    *,
    runs: int = 10_000,
    dataset_versions: int = 200,
    model_versions: int = 500,
    commits: int = 500,
    seed: int = 0,
) -> Generated:
    """Write the project to ``root``.

    Commits, signatures, hashes and ids are the same for the same arguments.

    Args:
        root: A folder that is empty or not there.
        runs: MLflow runs.
        dataset_versions: Versions of the raw data and of each split.
        model_versions: Versions of the registered model.
        commits: Git commits, DVC experiments not among them.
        seed: For what is left to chance.

    Raises:
        ValueError: If the numbers do not go together, or the folder has something in it.
    """
    size = Size(runs, dataset_versions, model_versions, commits)
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise ValueError(f"{root} is not empty.")
    history = play(size, seed)
    hashes = write_repository(root, history)
    store_uri = f"sqlite:///{root / 'mlflow.db'}"
    champion = write_store(store_uri, root, history.attempts(), hashes, seed)
    brought = [i for i, commit in enumerate(history.commits) if commit.change is Change.DATA]
    middle = brought[len(brought) // 2]
    convert = history.commits[middle].state.outcomes["convert"]
    return Generated(
        root=root,
        store_uri=store_uri,
        version=f"models:/{MODEL_NAME}/{champion.number}",
        alias=f"models:/{MODEL_NAME}@{CHAMPION}",
        run=champion.run_id,
        dataset=convert.outs[TRAIN].hash,
        commit=hashes[middle],
    )


def main() -> None:
    """Generate one from the command line, and print what is worth asking about."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage_store")
    parser.add_argument("root", type=Path, metavar="DIR", help="empty, or not there")
    for name, default in (generate.__kwdefaults__ or {}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    arguments = parser.parse_args()
    try:
        generated = generate(**vars(arguments))
    except ValueError as error:
        parser.error(str(error))
    for field in fields(generated):
        print(f"{field.name:10} {getattr(generated, field.name)}")


if __name__ == "__main__":
    main()
