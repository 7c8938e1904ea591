"""What MLflow gets of COCO data and detectors. Observes; determines no result."""
