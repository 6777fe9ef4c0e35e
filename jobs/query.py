"""spark-submit target: one of the four queries. Arguments as of ``penstock query``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["query", *submitted(sys.argv[1:])]))
