"""spark-submit target: create the feature groups. Arguments as of ``penstock provision``."""

import sys

from penstock.cli.program import run

if __name__ == "__main__":
    sys.exit(run(["provision", *sys.argv[1:]]))
