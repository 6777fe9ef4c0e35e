"""``flow`` on the command line without Spark: what is told of a flow, one line where it is none.

``tests/flows/claims.flow`` is ours, after the manner of Data Wrangler's: two sources, a join,
blocks of choices made before, a stored state that is stale, code, a split, visualisations, a
destination, and a report with a sample of the data. Beside it is the recipe that is to come out.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.program import run
from penstock.errors import DIFFERENT
from penstock.wrangle import catalogue, document

FLOWS = Path(__file__).parents[1] / "flows"
_YAML = """
sources:
  claims: {path: claims.csv}
steps:
  - scale: {columns: [amount]}
"""
_REFUSED = {
    "node_id": "odd",
    "type": "TRANSFORM",
    "operator": "sagemaker.spark.blur_images_0.1",
    "parameters": {},
    "inputs": [{"name": "df", "node_id": "in", "output_name": "default"}],
    "outputs": [{"name": "default"}],
}
_ACCOUNTS = ("210987654321", "444455556666")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the flow and nothing else; logs are left there."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FLOWS / "claims.flow", tmp_path)
    (tmp_path / "plain.yaml").write_text(_YAML)


def _written(name: str, document: Any) -> str:
    Path(name).write_text(json.dumps(document))
    return name


def _changed() -> dict[str, Any]:
    """The flow as a person changed it: a setting, a step less, a step more, one elsewhere."""
    found: dict[str, Any] = json.loads(Path("claims.flow").read_text())
    nodes = found["nodes"]
    by_step = {one["node_id"][:8]: one for one in nodes}
    outliers = by_step["6dad2973"]["parameters"]
    outliers["standard_deviation_numeric_outliers_parameters"]["standard_deviations"] = 3
    by_step["9897fd1b"]["parameters"]["one_hot_encode_parameters"]["drop_last"] = True  # stale
    by_step["da3ea3c0"]["parameters"]["pyspark_parameters"]["code"] += "df = df.cache()\n"
    renamed = by_step["0e49808d"]  # of auto_year: it goes, what read it reads the step before
    by_step["2c9292cb"]["inputs"] = renamed["inputs"]
    nodes.remove(renamed)
    casts = [by_step[one] for one in ("46a10035", "b273dc09", "333fdfd9")]  # the first goes last
    casts[1]["inputs"][0]["node_id"] = casts[0]["inputs"][0]["node_id"]
    casts[0]["inputs"][0]["node_id"] = casts[2]["node_id"]
    new = json.loads(json.dumps(by_step["25379ff8"]))
    new["node_id"] = "00000001-0000-4000-a000-000000000000"
    new["parameters"]["column"] = "fraud"
    new["inputs"][0]["node_id"] = casts[0]["node_id"]
    by_step["25379ff8"]["inputs"][0]["node_id"] = new["node_id"]
    nodes.insert(3, new)
    return found


@pytest.mark.shows("8.5")
def test_thirty_nodes_read_like_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Two sources, what is done to each, the join, what follows, where it goes, what is not run."""
    nodes = document.load(Path("claims.flow")).nodes
    assert len(nodes) == 32
    assert [one.id for one in document.load(Path("claims.flow")).order()] != [
        one.id for one in nodes
    ]
    assert run(["flow", "explain", "claims.flow"]) == 0
    assert capsys.readouterr().out == (FLOWS / "claims.recipe.txt").read_text(encoding="utf-8")
    assert run(["flow", "explain", "claims.flow", "--json"]) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    assert recipe[0] == "claims.flow: 2 sources, 27 steps"


@pytest.mark.shows("8.5")
def test_diff_shows_what_changed_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """A stale block, the order of nodes and what was learnt are no change."""
    changed = _written("changed.flow", _changed())
    clip = "Clip outliers of total_claim_amount ({} times the standard deviation)"
    assert run(["flow", "diff", "claims.flow", changed]) == DIFFERENT
    assert capsys.readouterr().out.splitlines() == [
        "removed [0e49808d] Rename auto_year to car_year",
        f"changed [6dad2973] {clip.format(4)} -> {clip.format(3)}",
        "    standard_deviations: 4.0 -> 3.0",
        "moved [46a10035] Cast driver_relationship_spouse to long",
        "    after: Cast incident_severity to long -> Cast incident_type_collision to long",
        "added [00000001] Cast fraud to long",
        "changed [da3ea3c0] Run PySpark code (2 lines) -> Run PySpark code (3 lines)",
        "    code:",
        "      + df = df.cache()",
    ]
    assert run(["flow", "diff", "claims.flow", changed, "--json"]) == DIFFERENT
    told = json.loads(capsys.readouterr().out)
    assert [one["what"] for one in told] == ["removed", "changed", "moved", "added", "changed"]
    assert told[1]["settings"] == {"standard_deviations": {"before": 4.0, "after": 3.0}}
    assert told[2]["reads"]["after"] == "Cast incident_type_collision to long"
    same = json.loads(Path("claims.flow").read_text())
    same["nodes"].reverse()
    same["nodes"][0].pop("trained_parameters", None)
    assert run(["flow", "diff", "claims.flow", _written("same.flow", same)]) == 0
    assert capsys.readouterr().out == "no step differs\n"
    assert run(["flow", "diff", "claims.flow", "same.flow", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.shows("8.5")
def test_strip_takes_data_and_accounts_and_says_how_much(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sample, and every account number; the recipe is the same but for the addresses."""
    whole = Path("claims.flow").read_text()
    report = next(
        one["trained_parameters"] for one in json.loads(whole)["nodes"] if "report" in str(one)
    )
    size = len(json.dumps(report, separators=(",", ":")))
    assert run(["flow", "strip", "claims.flow"]) == 0
    text = Path("claims.stripped.flow").read_text()
    assert capsys.readouterr().out.splitlines() == [
        f"1 analysis result removed ({size:,} bytes)",
        "2 account numbers masked in 4 places",
        f"written: claims.stripped.flow ({len(whole):,} bytes before, {len(text):,} now)",
    ]
    assert Path("claims.flow").read_text() == whole
    assert "samples" in whole
    assert "samples" not in text
    assert not [one for one in _ACCOUNTS if one in text]
    assert set(text.splitlines()) - set(whole.splitlines()) == {
        one.replace(_ACCOUNTS[0], "111122223333").replace(_ACCOUNTS[1], "111122223333")
        for one in whole.splitlines()
        if any(each in one for each in _ACCOUNTS) and "reports" not in one
    }
    assert run(["flow", "diff", "claims.flow", "claims.stripped.flow"]) == DIFFERENT
    said = capsys.readouterr().out.splitlines()
    assert [one.split(" [")[0] for one in said if not one.startswith(" ")] == ["changed"] * 3
    assert {one.split(":")[0].strip() for one in said if one.startswith(" ")} == {
        "path",
        "output_path",
    }


def test_strip_overwrites_only_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """By default beside the flow; in place where that is said; once more there is nothing."""
    assert run(["flow", "strip", "claims.flow", "--with-state", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reports"], told["states"], told["accounts"], told["numbers"]) == (1, 3, 4, 2)
    assert told["bytes"] == [Path(one).stat().st_size for one in ("claims.flow", told["path"])]
    assert told["states_bytes"] > 400
    kept = Path("claims.stripped.flow").read_bytes()
    assert run(["flow", "strip", "claims.flow"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "claims.stripped.flow is there already. To replace it: --output" in said
    assert Path("claims.stripped.flow").read_bytes() == kept
    assert run(["flow", "strip", "claims.flow", "--output", "claims.flow"]) == 0
    assert "1 analysis result removed" in capsys.readouterr().out
    once = Path("claims.flow").read_bytes()
    assert b"trained_parameters" in once
    assert b"trained_parameters" not in kept
    assert run(["flow", "strip", "claims.flow", "--output", "claims.flow"]) == 0
    assert capsys.readouterr().out.startswith("nothing to remove\n")
    assert Path("claims.flow").read_bytes() == once


def test_lint_tells_the_gravest_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 65 where a part cannot run; warnings alone are none."""
    assert run(["flow", "lint", "claims.flow"]) == 0
    said = capsys.readouterr().out.splitlines()
    gravities = [one.split(":")[0] for one in said]
    assert gravities == sorted(gravities, key=["error", "warning", "note"].index)
    assert any("[9897fd1b] its stored state is that of other settings" in one for one in said)
    source = json.loads(Path("claims.flow").read_text())["nodes"][0]
    flow = {"metadata": {"version": 1}, "nodes": [{**source, "node_id": "in"}, _REFUSED]}
    assert run(["flow", "lint", _written("odd.flow", flow)]) == 65
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "error: [odd] sagemaker.spark.blur_images_0.1: penstock has no such operator"
    )
    assert run(["flow", "lint", "odd.flow", "--json"]) == 65
    (first, *_) = json.loads(capsys.readouterr().out)
    assert (first["gravity"], first["node"]) == ("error", "odd")


def test_steps_are_listed_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Each operator with a line of what it does; of one, its settings."""
    assert run(["flow", "steps", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == catalogue.by_kind().keys()
    assert all(one.endswith((".", ":")) or one for one in told.values())
    assert run(["flow", "steps"]) == 0
    assert "one_hot" in capsys.readouterr().out
    assert run(["flow", "steps", "one_hot"]) == 0
    said = capsys.readouterr().out
    assert "Settings:\n    columns: list of text (required). Which.\n" in said
    assert (
        "\n    drop_last: true | false (default false). A vector without its last place.\n" in said
    )
    assert "\n    output: text (optional). Prefix of the columns" in said
    assert run(["flow", "steps", "one_hot", "--json"]) == 0
    assert "drop_last" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("kind", catalogue.by_kind())
def test_settings_are_told_from_the_record(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its values or type, its default or that it is required, and what it means."""
    assert run(["flow", "steps", kind]) == 0
    said = capsys.readouterr().out.replace("\n        ", " ")
    for name, one in catalogue.by_kind()[kind].model_fields.items():
        told = re.search(
            rf"^    {name}: .+? \((required|optional|default .+?)\)\. \S", said, re.MULTILINE
        )
        assert told is not None
        assert (told[1] == "required") == one.is_required()
    if kind == "scale":
        assert "scaler: standard | robust | min_max | max_absolute (default standard). How." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "none.flow"], "none.flow: No such file or directory"),
        (["lint", "none.yaml"], "none.yaml: No such file or directory"),
        (["explain", "."], "Is a directory"),
        (["diff", "claims.flow", "none.flow"], "none.flow: No such file or directory"),
        (["strip", "none.flow"], "none.flow: No such file or directory"),
        (["strip", "plain.yaml"], "plain.yaml: only .flow files hold what they have seen"),
        (["strip", "list.flow"], "list.flow: no flow: it has no list of nodes"),
        (["strip", "text.flow"], "text.flow: no JSON: Expecting value: line 1"),
        (["explain", "odd.flow"], "odd.flow: node 1 is none: it has no node_id"),
        (["explain", "open.yaml"], "open.yaml:1: bad YAML"),
        (["explain", "other.yaml"], "step 1: no operator 'scael'. Did you mean scale?"),
        (["steps", "scael"], "no operator 'scael'. 'penstock flow steps' lists them"),
        (
            ["run", "claims.flow", "--input", "clams.csv=x", "--output", "out"],
            "the flow has no source 'clams.csv'. Its sources: claims.csv, customers.csv",
        ),
        (
            ["run", "claims.flow", "--input", "claims.csv", "--output", "out"],
            "--input 'claims.csv' is no SOURCE=PATH",
        ),
        (["fit", "plain.yaml", "--input", "claims=x", "--node", "z"], "plain.yaml: no node 'z'"),
        (["run", "claims.flow", "--node", "2", "--output", "out"], "3 nodes '2'. Its nodes: "),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which, and what next; nothing is started for it, and nothing written."""
    Path("list.flow").write_text("[]")
    Path("text.flow").write_text("nodes: []")
    Path("odd.flow").write_text('{"nodes": [{}]}')
    Path("open.yaml").write_text("sources: {a: [")
    Path("other.yaml").write_text("sources: {a: {path: x}}\nsteps: [{scael: {}}]")
    assert run(["flow", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not Path("out").exists()
