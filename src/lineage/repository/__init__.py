"""What git and DVC have: the working tree, its history, its stages."""
