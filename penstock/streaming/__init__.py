"""Streams into feature groups: what is read, and how Spark is told."""
