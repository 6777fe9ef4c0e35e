"""spark-submit target: one of the four queries. Arguments as of ``penstock query``."""

import sys

from penstock.cli.program import run

if __name__ == "__main__":
    sys.exit(run(["query", *sys.argv[1:]]))
