"""The picture of a run report in the README: the page of a real run, as a browser shows it.

``make run``, then ``make report-picture``: the newest report of flight_status becomes
docs/img/run-report.png.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser import browser

REPORTS = Path(".penstock/lake/reports/flight_status")
PICTURE = Path("docs/img/run-report.png")
WIDTH, HEIGHT = 1_280, 1_500  # of the window; the page goes on below it
MOST_BYTES = 200_000


def main() -> int:
    """Make the picture; an exit code."""
    pages = sorted(REPORTS.glob("*.html"))
    if not pages:
        print(f"no report in {REPORTS}: run 'make run' first", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as opened:
        opened.open(pages[-1].absolute(), WIDTH, HEIGHT)
        made = opened.screenshot()
    if len(made) > MOST_BYTES:
        print(f"{len(made):,} bytes are more than {MOST_BYTES:,}", file=sys.stderr)
        return 1
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(made)
    print(f"{PICTURE}: {len(made):,} bytes, of {pages[-1].name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
