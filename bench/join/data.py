"""Made feature histories and labels of any size, as Parquet files every arm reads alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.contract import Feature, FeatureGroup, FeatureType

if TYPE_CHECKING:
    import numpy.typing as npt

YEAR_S = 365 * 86_400
START_S = 1_600_000_000
PER_KEY, PER_LABEL = 200, 10  # feature rows an identifier, feature rows a label
SKEW = 0.3  # of the rows, of both sides, on one identifier
FILES = 8  # of each side, so that whoever reads them has something to share out

GROUP = FeatureGroup(
    "history",
    "id",
    "at",
    (
        Feature("id", FeatureType.INTEGRAL),
        Feature("at", FeatureType.FRACTIONAL),
        Feature("v1", FeatureType.FRACTIONAL),
        Feature("v2", FeatureType.FRACTIONAL),
        Feature("v3", FeatureType.INTEGRAL),
    ),
)
VALUES = ("at", "v1", "v2", "v3")


@dataclass(frozen=True)
class Case:
    """One size of data, under ``folder``.

    Args:
        folder: Where its files are.
        rows: Feature rows.
        skewed: Whether one identifier has :data:`SKEW` of the rows.
    """

    folder: Path
    rows: int
    skewed: bool = False

    @property
    def place(self) -> Path:
        """The folder of this size."""
        return self.folder / f"{self.rows}{'-skewed' if self.skewed else ''}"

    @property
    def events(self) -> str:
        """The files of the history, with the system columns of an offline table."""
        return f"{self.place / 'events'}/*.parquet"

    @property
    def labels(self) -> str:
        """The files of the labels."""
        return f"{self.place / 'labels'}/*.parquet"

    @property
    def asked(self) -> int:
        """How many labels there are."""
        return max(self.rows // PER_LABEL, 1)


def make(case: Case, seed: int = 7) -> None:
    """Write the files of a case; the same seed makes the same files."""
    random = np.random.default_rng(seed)
    made = {"events": _events(case, random), "labels": _labels(case, random)}
    for name, table in made.items():
        folder = case.place / name
        folder.mkdir(parents=True)
        rows = -(-table.num_rows // FILES)
        for n in range(FILES):
            pq.write_table(table.slice(n * rows, rows), folder / f"{n}.parquet")


def _events(case: Case, random: np.random.Generator) -> pa.Table:
    at = _instants(case.rows, random)
    # Read by instants, as an offline table has them; each row was written when it happened.
    written = pa.array((at * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "id": _keys(case, case.rows, random),
            "at": at,
            "v1": random.random(case.rows),
            "v2": random.random(case.rows),
            "v3": random.integers(0, 100, case.rows),
            "api_invocation_time": written,
            "write_time": written,
            "is_deleted": pa.array(np.zeros(case.rows, np.bool_)),
        }
    )


def _labels(case: Case, random: np.random.Generator) -> pa.Table:
    return pa.table(
        {
            "label": np.arange(case.asked),
            "who": _keys(case, case.asked, random),
            "moment": _instants(case.asked, random),
        }
    )


def _keys(case: Case, rows: int, random: np.random.Generator) -> Any:
    keys = random.integers(0, max(case.rows // PER_KEY, 1), rows)
    return np.where(random.random(rows) < SKEW, 0, keys) if case.skewed else keys


def _instants(rows: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Seconds, to the microsecond, no two alike: ties are not what is measured."""
    steps = random.choice(YEAR_S * 1_000_000, rows, replace=False, shuffle=True)
    made: npt.NDArray[np.float64] = START_S + steps / 1e6
    return made
