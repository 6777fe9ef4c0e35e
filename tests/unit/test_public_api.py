"""What users import is pinned: names, and how they are called."""

from __future__ import annotations

import inspect
import types

import pytest

import penstock

SIGNATURES = {
    "Column": "(name: 'str', type: 'ColumnType' = <ColumnType.STRING: 'string'>) -> None",
    "Expectation": (
        "(type: 'str', column: 'str | None' = None, arguments: 'Mapping[str, Any]' = <factory>, "
        "on_fail: 'OnFail' = 'quarantine') -> None"
    ),
    "Feature": (
        "(name: 'str', type: 'FeatureType', description: 'str' = '', "
        "expectations: 'tuple[Expectation, ...]' = (), pii: 'bool' = False, "
        "listed: 'bool' = False) -> None"
    ),
    "FeatureGroup": (
        "(name: 'str', record_identifier: 'str', event_time: 'str', "
        "features: 'tuple[Feature, ...]', description: 'str' = '', "
        "fraction_digits: 'Literal[0, 3, 6, 9]' = 0, "
        "expectations: 'tuple[Expectation, ...]' = (), tags: 'tuple[str, ...]' = (), "
        "deleted_when: 'str | None' = None, ttl: 'timedelta | None' = None, "
        "ttl_from: 'str | None' = None) -> None"
    ),
    "PenstockError": "(message: 'str', remedy: 'str' = '') -> 'None'",
    "Pipeline": (
        "(group: 'FeatureGroup', sources: 'Mapping[str, Source]', "
        "transform: 'Transform | None' = None, window: 'WindowSize' = 'all', "
        "lateness: 'timedelta' = datetime.timedelta(0)) -> None"
    ),
    "Source": (
        "(columns: 'tuple[Column, ...]', null_texts: 'tuple[str, ...]' = ('',), "
        "time: 'str | None' = None, lookback: 'timedelta' = datetime.timedelta(0), "
        "expectations: 'tuple[Expectation, ...]' = ()) -> None"
    ),
    "ingest": (
        "(frame: 'DataFrame', group: 'FeatureGroup', *, conf: 'str | Path' = 'conf', "
        "environment: 'str' = 'local', online: \"Literal['latest', 'each', 'never']\" = "
        "'latest', "
        "correct: \"Literal['update', 'delete-put'] | None\" = None) -> 'Result'"
    ),
}
MEMBERS = {
    "ColumnType": {"STRING", "LONG", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE"},
    "FeatureType": {"INTEGRAL", "FRACTIONAL", "STRING"},
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_pinned(name: str) -> None:
    """A changed signature breaks somebody's project: change it here on purpose."""
    assert str(inspect.signature(getattr(penstock, name))) == SIGNATURES[name]


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_pinned(name: str) -> None:
    """So does a renamed type."""
    assert set(getattr(penstock, name).__members__) == MEMBERS[name]


def test_exactly_the_pinned_names_are_public() -> None:
    """``__all__`` is sorted, importable, and all that does not start with an underscore."""
    assert penstock.__all__ == sorted(penstock.__all__)
    assert set(penstock.__all__) == {*SIGNATURES, *MEMBERS}
    modules = {name for name, one in vars(penstock).items() if isinstance(one, types.ModuleType)}
    there = {name for name in vars(penstock) if not name.startswith("_")}
    assert there - modules == set(penstock.__all__)


def test_all_of_it_is_documented() -> None:
    """Help in an editor is the first documentation anybody meets."""
    assert all(inspect.getdoc(getattr(penstock, name)) for name in penstock.__all__)
