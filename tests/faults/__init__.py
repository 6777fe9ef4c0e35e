"""Faults of every kind, and the promise that holds through all of them."""
