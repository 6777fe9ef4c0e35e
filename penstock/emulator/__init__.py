"""The embedded AWS: Feature Store, Glue and STS for real boto3, on loopback only."""
