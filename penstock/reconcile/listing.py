"""What the online store lists, written into files that Spark joins with the offline table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import FeatureGroup
from penstock.online.asking import ReadJob
from penstock.online.listing import identifiers
from penstock.reconcile.verdict import text
from penstock.run.context import Context
from penstock.stage.report import Staged
from penstock.stage.tasks import Files

BLOCK = 10_000  # identifiers in memory at once


def listed(context: Context, group: FeatureGroup, job: ReadJob, folder: str) -> tuple[Staged, ...]:
    """Files with the text of each online identifier, and what it is offline.

    Raises:
        PenstockError: As of :func:`penstock.online.listing.identifiers`.
    """
    names, done = chain.from_iterable(identifiers(job)), 0
    with Files(folder, context.storage, "listed") as files:
        while block := list(islice(names, BLOCK)):
            files.write(keys(group, block))
            done += len(block)
            context.progress.step(group.name, f"listed {done:,} online records")
    return files.done()


def keys(group: FeatureGroup, names: Sequence[str]) -> pa.Table:
    """Identifiers with what they are offline; null where penstock writes no value like that.

    ``01`` is no Integral identifier as penstock sends it: it is another record than ``1``.
    """
    kind = group.feature(group.record_identifier).type
    texts = pa.array(names, pa.string())
    values = encoding.FEATURES[kind](texts).values
    same = pc.fill_null(pc.equal(text(kind, values), texts), fill_value=False)
    key = pc.if_else(same, values, pa.scalar(None, values.type))
    return pa.table({"text": texts, "key": key})
