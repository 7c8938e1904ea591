"""What a detector finds, and what there was to find: the same while it learns and afterwards."""
