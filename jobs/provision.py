"""spark-submit target: create the feature groups. Arguments as of ``penstock provision``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("provision")
