"""A run: one window of one pipeline from its sources into both stores, resumable at every point."""
