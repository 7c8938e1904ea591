"""How a detector learns: targets, augmentation, the loop. Predictions need none of it."""
