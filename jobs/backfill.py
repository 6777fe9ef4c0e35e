"""spark-submit target: the windows of a range. Arguments as of ``penstock backfill``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("backfill")
