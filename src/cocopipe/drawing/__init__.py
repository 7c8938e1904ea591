"""Pictures of a split with their objects, for people to look at."""
