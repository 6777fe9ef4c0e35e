"""The Glue catalogue: offline tables kept in step with their contract, and tables read as sources.

``table`` decides with values (what a table should say, what may change); ``glue`` speaks to the
service.
"""

from __future__ import annotations

from penstock.catalog.glue import Registration, Retry, ensure_database, register, resolve
from penstock.catalog.table import table_input, table_name

__all__ = [
    "Registration",
    "Retry",
    "ensure_database",
    "register",
    "resolve",
    "table_input",
    "table_name",
]
