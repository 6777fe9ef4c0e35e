"""Wrangling: data-preparation flows on plain Spark.

A flow is data: nodes in a graph, each a step with its settings. Our YAML and Data Wrangler's
``.flow`` are read into the same model::

    document, data_wrangler -> flow (nodes) -> order -> running: fit, then calls of plain functions
                                                  |---> explaining, linting, export

What a step does is a list of calls of plain functions of DataFrames with plain values as arguments.
Running a flow makes these calls; exporting one writes them down, together with the very source of
the functions. So what was exported is what was run.
"""

from __future__ import annotations
