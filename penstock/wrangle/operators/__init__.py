"""The operators, a module a family; each lists its steps as ``STEPS``."""

from __future__ import annotations

from importlib import import_module

_NAMES = (
    "balance",
    "casting",
    "categories",
    "characters",
    "column_set",
    "components",
    "concatenating",
    "custom_code",
    "date_parts",
    "event_time",
    "feature_type",
    "features",
    "filling_series",
    "formula",
    "grouping",
    "inference",
    "joining",
    "lagging",
    "missing",
    "nested",
    "outliers",
    "rare_values",
    "record_identifier",
    "resampling",
    "row_set",
    "sampling",
    "scaling",
    "search",
    "sequences",
    "similarity",
    "smote",
    "splitting",
    "splitting_in_order",
    "text_check",
    "text_format",
    "timestamps",
    "vectorizing",
    "vectors",
)
FAMILIES = tuple(import_module(f"{__name__}.{one}") for one in _NAMES)
