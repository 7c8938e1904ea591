"""Detectors: which there are, how they begin, on what they compute, and how they are kept."""
