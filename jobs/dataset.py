"""spark-submit target: build a training data set. Arguments as of ``penstock dataset build``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("dataset", "build")
