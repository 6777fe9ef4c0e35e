"""spark-submit target: both stores beside each other. Arguments as of ``penstock reconcile``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("reconcile")
