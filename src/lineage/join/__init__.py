"""What git, DVC and MLflow know together: references, knowledge, graphs."""
