"""The plugin of a project whose kind of model is MLflow's smallest."""

from pathlib import Path

TOY_MODEL = """
import mlflow

class Toy(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input

def log_model(path, model_id, name):
    mlflow.pyfunc.log_model(name=name, python_model=Toy(), model_id=model_id, pip_requirements=[])
    return True
"""


def install_toy_model(folder: Path) -> None:
    """Write the plugin as an installed package into a folder of ``PYTHONPATH``."""
    package = folder / "toy-1.dist-info"
    package.mkdir(parents=True)
    (folder / "toy_model.py").write_text(TOY_MODEL)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[lineage.models]\ntoy = toy_model:log_model\n")
