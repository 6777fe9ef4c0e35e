"""A project is loaded from its ``schemas``; wrong code there is one line with its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.errors import ContractError, PenstockError, UsageError
from penstock.project import load_project
from penstock.scaffold import create, template

pytestmark = pytest.mark.usefixtures("own_project")

ROOT = Path(__file__).parents[2]
PIPELINE = """from penstock import Column, Feature, FeatureGroup, FeatureType, Pipeline, Source

GROUP = FeatureGroup(
    name="{name}",
    record_identifier="sensor",
    event_time="at",
    features=(Feature("sensor", FeatureType.STRING), Feature("at", FeatureType.STRING)),
    tags=("{tag}",),
)
PIPELINE = Pipeline(GROUP, {{"readings": Source(columns=(Column("sensor"), Column("at")))}})
"""


def test_all_pipelines_are_found_in_order_of_name(tmp_path: Path) -> None:
    """By name, by tag, or all of them; helpers in ``schemas`` that hold none do not matter."""
    _write(tmp_path, b=PIPELINE.format(name="b", tag="x"), a=PIPELINE.format(name="a", tag="y"))
    _write(tmp_path, rules="LIMIT = 5\n")
    found = load_project(tmp_path)
    assert list(found.pipelines) == ["a", "b"]
    assert [one.group.name for one in found.chosen((), None)] == ["a", "b"]
    assert [one.group.name for one in found.chosen(("b",))] == ["b"]
    assert [one.group.name for one in found.chosen((), "y")] == ["a"]
    with pytest.raises(UsageError, match=r"no feature group 'c' in this project\. There are: a, b"):
        found.chosen(("c",))
    with pytest.raises(UsageError, match="no feature group has the tag 'z'"):
        found.chosen((), "z")


def test_two_pipelines_for_one_group_are_refused(tmp_path: Path) -> None:
    """Which one would be meant is anybody's guess."""
    _write(tmp_path, a=PIPELINE.format(name="a", tag="x"), b=PIPELINE.format(name="a", tag="y"))
    with pytest.raises(ContractError, match="two pipelines feed feature group 'a'"):
        load_project(tmp_path)


def test_a_folder_that_is_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    """Without ``schemas`` there and on the path."""
    sys.path[:] = [one for one in sys.path if not (Path(one or ".") / "schemas").is_dir()]
    sys.meta_path[:], kept = (
        [one for one in sys.meta_path if "editable" not in repr(one)],
        [*sys.meta_path],
    )
    try:
        with pytest.raises(UsageError, match=r"no 'schemas' package here.*penstock init"):
            load_project(tmp_path)
    finally:
        sys.meta_path[:] = kept


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("x = 1\nx = = 2\n", ContractError, r"FILE:2: invalid syntax\. Correct the line"),
        (
            "import no_such_package\n",
            UsageError,
            r"FILE:1: there is no Python package 'no_such_package'\. pip install no_such_package",
        ),
        ("\n\nx = {}['a']\n", ContractError, r"FILE:3: KeyError: 'a'\. Correct the line"),
        (
            PIPELINE.replace('event_time="at"', 'event_time="then"').format(name="a", tag="x"),
            ContractError,
            "'then' is not among its features",
        ),
    ],
    ids=["syntax", "absent package", "exception", "wrong contract"],
)
def test_code_that_does_not_load_is_one_line(
    text: str, kind: type[PenstockError], says: str, tmp_path: Path
) -> None:
    """File and line of the project's code, not of the import system's; exit code 2."""
    file = _write(tmp_path, broken=text)
    with pytest.raises(kind, match=says.replace("FILE", str(file))) as caught:
        load_project(tmp_path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_new_project_is_the_flights_project(tmp_path: Path) -> None:
    """Every file of the template, nothing compiled; never over what is there already."""
    made = create(tmp_path / "new")
    names = {str(one.relative_to(tmp_path / "new")) for one in made}
    parts = [template() / part for part in ("schemas", "transforms", "jobs")]
    expected = {
        str(one.relative_to(template()))
        for part in parts
        for one in part.rglob("*")
        if one.suffix in {".py", ".yaml"}
    } | {"README.md", ".gitignore", "conf/base.yaml", "conf/local.yaml", "conf/aws.example.yaml"}
    assert expected == names
    with pytest.raises(UsageError, match="is not empty"):
        create(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not empty"):
        create(tmp_path / "file")
    with pytest.raises(UsageError, match=r"cannot be written: Not a directory\. Name another"):
        create(tmp_path / "file" / "below")


def _write(root: Path, **modules: str) -> Path:
    folder = root / "schemas"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    file = folder
    for name, text in modules.items():
        file = folder / f"{name}.py"
        file.write_text(text, encoding="utf-8")
    return file
