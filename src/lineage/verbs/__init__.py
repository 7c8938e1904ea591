"""One module a verb of the ``lineage`` command."""
