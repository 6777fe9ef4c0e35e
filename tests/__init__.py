"""Tests of penstock and of the flights project."""
