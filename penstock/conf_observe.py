"""The keys of ``conf`` about what is told to other systems: metrics and lineage; both off."""

from __future__ import annotations

from pydantic import Field, field_validator

from penstock.conf_record import Record

STDERR = "stderr"


class Observe(Record):
    """What a run writes for other systems, beside its report."""

    emf: str | None = Field(
        default=None,
        description="One line a run in CloudWatch's embedded metric format: stderr, which EMR "
        "Serverless and Glue bring to CloudWatch Logs, or a local file; unset: none.",
    )
    emf_namespace: str = Field(
        default="penstock",
        pattern=r"^[0-9A-Za-z._\-/#: ]{1,256}$",
        description="Namespace of these metrics.",
    )
    lineage: str | None = Field(
        default=None,
        description="OpenLineage events, one JSON line each: stderr, or a local file; unset: none.",
    )
    lineage_namespace: str | None = Field(
        default=None, description="Namespace of the jobs in them; unset: the project's name."
    )

    @field_validator("emf", "lineage")
    @classmethod
    def _is_local(cls, path: str | None) -> str | None:
        # Lines are appended, by several runs at a time: an object store cannot.
        if path is not None and "://" in path:
            raise ValueError("is not a file on this machine")
        return path
