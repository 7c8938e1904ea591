"""Statistics, plots and pictures of a converted dataset."""
