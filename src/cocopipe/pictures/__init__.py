"""Examining and decoding image files."""
