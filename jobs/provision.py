"""spark-submit target: create the feature groups. Arguments as of ``penstock provision``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["provision", *submitted(sys.argv[1:])]))
