"""A data set profiled: what is in each column, how columns hang together, and what to do about it.

Counts, ranges and moments are of all rows, in one pass of Spark. What looks at pairs, models and
series works on a sample of at most 100,000 rows, as Data Wrangler's analyses do, and says so
(facts: wrangler, 1.3).
"""

from __future__ import annotations
