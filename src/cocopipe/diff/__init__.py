"""What changed between two versions of the converted data."""
