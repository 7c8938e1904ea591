"""Train, run and score object detectors; the only room that imports torch."""
