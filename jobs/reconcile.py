"""spark-submit target: both stores beside each other. Arguments as of ``penstock reconcile``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["reconcile", *submitted(sys.argv[1:])]))
