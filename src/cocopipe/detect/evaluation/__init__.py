"""What a detector finds, and how good that is. Training needs none of it."""
