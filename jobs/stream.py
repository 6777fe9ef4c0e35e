"""spark-submit target: a group fed by its stream. Arguments as of ``penstock stream``."""

from penstock.cli.program import job

if __name__ == "__main__":
    job("stream")
