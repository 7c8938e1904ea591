"""A split, our own format: image store and annotation tables."""
