"""spark-submit target: the windows of a range. Arguments as of ``penstock backfill``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["backfill", *submitted(sys.argv[1:])]))
