"""The pictures in the README: pages of real runs, as a browser shows them.

``make run``, then ``make report-picture``: the newest report of flight_status becomes
docs/img/run-report.png. ``python -m bench.picture PAGE.html docs/img/NAME.png HEIGHT`` takes any
page.
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
    named = [Path(one) for one in sys.argv[1:3]]
    height = int(sys.argv[3]) if sys.argv[3:] else HEIGHT
    pages, picture = (named[:1], named[1]) if named else (sorted(REPORTS.glob("*.html")), PICTURE)
    if not pages:
        print(f"no report in {REPORTS}: run 'make run' first", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as opened:
        opened.open(pages[-1].absolute(), WIDTH, height)
        made = opened.screenshot()
    if len(made) > MOST_BYTES:
        print(f"{len(made):,} bytes are more than {MOST_BYTES:,}", file=sys.stderr)
        return 1
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(made)
    print(f"{picture}: {len(made):,} bytes, of {pages[-1].name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
