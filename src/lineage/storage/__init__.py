"""Bytes by their hash: where they are, and bringing them back."""
