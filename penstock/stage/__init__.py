"""STAGE: one fixed set of rows, gated twice and written down before anything is sent."""
