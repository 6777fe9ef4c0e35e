"""spark-submit target: one batch of each group. Arguments as of ``penstock ingest``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["ingest", *submitted(sys.argv[1:])]))
