"""COCO format to Parquet and back."""
