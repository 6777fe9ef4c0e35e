"""spark-submit target: one of the four queries. Arguments as of ``penstock query``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("query")
