"""One module a command of ``cocopipe``."""
