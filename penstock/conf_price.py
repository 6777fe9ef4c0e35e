"""What AWS charges, as ``conf`` says it: a dated table, for estimates and never for a bill."""

from __future__ import annotations

from pydantic import Field

from penstock.conf_record import Record


class Price(Record):
    """Dollars in one region; the online store is of type Standard, with on-demand throughput."""

    write_units: float = Field(ge=0, description="A million write units (1 KB each).")
    storage: float | None = Field(
        default=None, ge=0, description="A GB and month in the online store."
    )
    athena: float | None = Field(
        default=None, ge=0, description="A terabyte that Athena reads for a query."
    )


class Prices(Record):
    """The price table."""

    date: str = Field(
        default="", pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="When it was looked up."
    )
    source: str = Field(default="", description="Where.")
    regions: dict[str, Price] = Field(default_factory=dict, description="Region → its prices.")
