"""The stages of ``dvc.yaml``: a thin module for each, named after it."""
