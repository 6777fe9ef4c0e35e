"""The offline store as a Delta table: a window's rows appear to every reader at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock.commits import Log, check_installed
from penstock.layout import Layout
from penstock.offline.log import Brought


class DeltaLog(Log):
    """See :class:`penstock.offline.log.TableLog`."""

    layout: Layout | None = None

    def of_files(self, schema: pa.Schema) -> pa.Schema:
        """As it is."""
        return schema

    def take_out(self, brought: Brought, rows: int) -> None:
        """Delete what one append brought."""
        invoked = (
            f"api_invocation_time BETWEEN {_literal(brought.first)} AND {_literal(brought.last)}"
        )
        self.delete(f"write_time = {_literal(brought.at)} AND {invoked}", rows)

    def matching(self, column: str, values: Sequence[str]) -> pa.Table:
        """Rows whose column is one of the values."""
        check_installed()
        if not self.exists:
            return pa.table({})
        dataset = self.table().to_pyarrow_dataset()
        wanted = pc.cast(pa.array(values, pa.string()), dataset.schema.field(column).type)
        return dataset.to_table(filter=pc.field(column).isin(wanted))


def _literal(instant: datetime) -> str:
    """In DataFusion's SQL."""
    text = instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"arrow_cast('{text}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"
