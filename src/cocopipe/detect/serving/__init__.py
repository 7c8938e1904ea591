"""A detector that answers for single image files, wherever they come from."""
