"""What it costs to convert a dataset, to keep versions of it and to read it."""
