"""Runs that start by themselves: which window a firing loads, and what starts it."""
