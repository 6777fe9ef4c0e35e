"""The offline store: every valid version of every record, append-only."""
