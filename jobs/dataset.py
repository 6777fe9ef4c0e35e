"""spark-submit target: build a training data set. Arguments as of ``penstock dataset build``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["dataset", "build", *submitted(sys.argv[1:])]))
