"""Faults from outside: what is killed, and what goes away."""
