"""A split as torch reads it: image files decoded, in an order of its own, in batches."""
