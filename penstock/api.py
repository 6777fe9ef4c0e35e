"""penstock inside a job the user already has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penstock.contract import FeatureGroup

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from penstock.run.ingest import Result


def ingest(
    frame: DataFrame,
    group: FeatureGroup,
    *,
    conf: str | Path = "conf",
    environment: str = "local",
    online: Literal["latest", "each", "never"] = "latest",
    correct: Literal["update", "delete-put"] | None = None,
) -> Result:
    """Bring a DataFrame into a feature group: validated, sent online, appended offline, registered.

    The frame is evaluated once. Calling it again with the same rows changes neither store; an
    interrupted call is finished first by the next one.

    Args:
        frame: Has the group's features as columns; others are left out. A column ``_source`` of
            struct<file: string, position: bigint> names the origin of rows put aside.
        group: The contract.
        conf: Folder of the configuration.
        environment: Name of the overlay in it.
        online: ``latest`` sends the newest row of each identifier, ``each`` one of each event time,
            ``never`` none.
        correct: What to do with a new value at an event time that is written already: None refuses
            the rows, ``update`` and ``delete-put`` correct them in both stores (docs/modes.md).

    Returns:
        The window's state and figures.

    Raises:
        PenstockError: A subclass says what is wrong and what to do next.
    """
    from penstock import aws, config
    from penstock.progress import progress
    from penstock.run.context import Context
    from penstock.run.ingest import ingest_frame

    folder = Path(conf)
    settings = config.load(folder, environment)
    with aws.connected(settings) as endpoint:
        root = folder.absolute().parent
        context = Context(
            lambda: frame.sparkSession, endpoint, settings, root, progress(sys.stderr)
        )
        return ingest_frame(context, frame, group, online, correct)
