"""A flow written out as a notebook or a script: every step in plain pyspark, with what it learnt.

The functions of the steps are copied with their text, so nothing in what is written calls back into
the flow or into this package; penstock is used for what it is: to write to the stores.
"""

from __future__ import annotations
