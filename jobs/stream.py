"""spark-submit target: a group fed by its stream. Arguments as of ``penstock stream``."""

import sys

from penstock.cli.program import run, submitted

if __name__ == "__main__":
    sys.exit(run(["stream", *submitted(sys.argv[1:])]))
