"""spark-submit target: data-preparation flows. Arguments as of ``penstock flow``: ``run FLOW``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("flow")
