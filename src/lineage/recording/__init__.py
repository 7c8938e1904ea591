"""Writing down what a stage did: its run, its data, its models."""
