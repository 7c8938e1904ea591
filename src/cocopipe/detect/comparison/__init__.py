"""Whether one detector is better than another, on the same images."""
