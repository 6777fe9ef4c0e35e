"""The equations of a run: they hold for what adds up, and for nothing else."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import MismatchError
from penstock.run.figures import Figures, SourceFigures, figures, reconcile

COUNT = st.integers(0, 1 << 40)
#: Figures that inform and are in no equation: how the rows were written, not whether.
INFORMING = {
    *("sources", "ties", "corrected", "replaced", "repeated", "throttled"),
    *("ambiguous", "calls", "by_code"),
    *("p50_ms", "p99_ms", "in_flight", "online_s", "seconds"),
}
COUNTED = sorted({one.name for one in dataclasses.fields(Figures)} - INFORMING)
OF_SOURCE = sorted({one.name for one in dataclasses.fields(SourceFigures)} - {"name", "extra"})


@st.composite
def source(draw: st.DrawFn) -> SourceFigures:
    """Figures of a source that add up."""
    passed, quarantined, dropped, outside = (draw(COUNT) for _ in range(4))
    read = passed + quarantined + dropped + outside
    return SourceFigures("rows", read, passed, quarantined, dropped, outside)


@st.composite
def run(draw: st.DrawFn) -> tuple[Figures, str]:
    """Figures of a run that add up, and what was to be sent."""
    online = draw(st.sampled_from(["latest", "each", "never"]))
    gone = {name: draw(COUNT) for name in ("quarantined", "dropped", "outside", "duplicates")}
    names = ("accepted", "skipped", "rejected", "older", "expired")
    became = {name: 0 if online == "never" else draw(COUNT) for name in names}
    sent = became["accepted"] + became["skipped"] + became["rejected"]
    candidates, rejected = sum(became.values()), became["rejected"]
    ties = draw(COUNT)
    present = ties if online == "each" else draw(COUNT)
    offline = candidates - rejected + (0 if online == "each" else draw(COUNT))
    valid = offline + present + rejected
    return Figures(
        sources=tuple(draw(st.lists(source(), max_size=3))),
        produced=valid + sum(gone.values()),
        valid=valid,
        ties=ties,
        identifiers=candidates if online == "latest" else draw(COUNT),
        candidates=candidates,
        sent=sent,
        by_code={"ThrottlingException": draw(COUNT)},
        **became,
        offline=offline,
        present=present,
        **gone,
    ), online


@pytest.mark.shows("3.4")
@given(run())
def test_figures_that_add_up_pass(made: tuple[Figures, str]) -> None:
    """No run that lost nothing is stopped."""
    reconcile("group", *made)


@pytest.mark.shows("3.4")
@pytest.mark.parametrize("name", COUNTED)
@given(run(), st.sampled_from([-1, 1]))
def test_any_single_figure_that_is_off_by_one_is_caught(
    name: str, made: tuple[Figures, str], by: int
) -> None:
    """One row lost or made anywhere breaks an equation; the message names it."""
    found, online = made
    if name == "identifiers" and online != "latest":
        return  # no other figure speaks of identifiers
    wrong = dataclasses.replace(found, **{name: getattr(found, name) + by})
    with pytest.raises(MismatchError, match=r"^group: figures do not add up: .* is not"):
        reconcile("group", wrong, online)


@pytest.mark.shows("3.4")
@pytest.mark.parametrize("name", OF_SOURCE)
@given(run(), source(), st.sampled_from([-1, 1]))
def test_so_is_any_figure_of_a_source(
    name: str, made: tuple[Figures, str], one: SourceFigures, by: int
) -> None:
    """The message names the source."""
    found, online = made
    wrong = dataclasses.replace(one, **{name: getattr(one, name) + by})
    found = dataclasses.replace(found, sources=(*found.sources, wrong))
    with pytest.raises(MismatchError, match="source rows"):
        reconcile("group", found, online)


@pytest.mark.shows("3.4")
@given(run())
def test_nothing_sent_where_something_should_be_is_caught(made: tuple[Figures, str]) -> None:
    """A send file that is forgotten altogether leaves equal, and too small, figures of sending."""
    found, online = made
    if not found.candidates:
        return
    forgotten = dataclasses.replace(found, candidates=0, sent=0, accepted=0, rejected=0)
    forgotten = dataclasses.replace(forgotten, skipped=0, older=0, expired=0)
    forgotten = dataclasses.replace(forgotten, offline=found.offline + found.rejected)
    with pytest.raises(MismatchError, match="to send = candidates"):
        reconcile("group", forgotten, online)


@pytest.mark.shows("4.3")
@given(st.tuples(COUNT, COUNT, COUNT), st.sampled_from(["sent", "valid", "accepted", "skipped"]))
def test_where_the_service_keeps_the_offline_store_every_valid_row_is_sent(
    rows: tuple[int, int, int], name: str
) -> None:
    """Accepted, skipped and rejected make up the valid rows; a row that is off is caught."""
    valid, (accepted, skipped, rejected) = sum(rows), rows
    found = Figures(
        produced=valid,
        valid=valid,
        candidates=valid,
        sent=valid,
        accepted=accepted,
        skipped=skipped,
        rejected=rejected,
    )
    reconcile("group", found, "service", "service")
    wrong = dataclasses.replace(found, **{name: getattr(found, name) + 1})
    with pytest.raises(MismatchError, match="figures do not add up"):
        reconcile("group", wrong, "service", "service")


def test_without_an_offline_store_only_what_is_sent_is_written() -> None:
    """Of three valid rows of two identifiers two are sent, and none is offline."""
    found = Figures(produced=3, valid=3, identifiers=2, candidates=2, sent=2, accepted=2)
    reconcile("group", found, "latest", "none")
    with pytest.raises(MismatchError, match="identifiers to send"):
        reconcile("group", dataclasses.replace(found, identifiers=3), "latest", "none")


@given(run())
def test_figures_survive_their_json_form(made: tuple[Figures, str]) -> None:
    """What a ledger event carries reads back as the same figures."""
    assert figures(json.loads(json.dumps(made[0].plain()))) == made[0]
