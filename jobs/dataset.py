"""spark-submit target: training data sets. Arguments as of ``penstock dataset``: ``build NAME``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("dataset")
