"""The side-by-side benchmark: what a record costs on the online write path."""
