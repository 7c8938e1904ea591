"""What MLflow has: runs, model versions, and the tags that tie them to DVC."""
