"""What a pipeline leaves in git, DVC and MLflow in months of work, made up in seconds."""
