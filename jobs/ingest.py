"""spark-submit target: one batch of each group. Arguments as of ``penstock ingest``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("ingest")
