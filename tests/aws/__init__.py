"""Conformance: the same assertions on the embedded AWS and, when asked to, on a real account."""
