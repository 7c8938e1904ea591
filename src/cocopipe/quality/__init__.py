"""Statistics and plots of a converted dataset."""
