"""Tests that talk to the embedded AWS through real boto3."""
