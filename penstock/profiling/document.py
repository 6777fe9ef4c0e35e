"""The page of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from penstock.profiling.finding import duplicated
from penstock.profiling.series import Decomposed
from penstock.profiling.study import MOST_SAMPLED, Study
from penstock.profiling.summary import ColumnSummary
from penstock.report import charts, page
from penstock.report.markup import Html, joined
from penstock.report.page import Section, Tone

_BINS = 20
_WHOLE = 50
_TOP = 10
_MOST_PAIRS = 6
_MOST_PLOTS = 60
_TONES: dict[str, Tone] = {"high": "bad", "medium": "warn", "low": "plain"}


def document(study: Study, title: str, about: str) -> str:
    """One self-contained HTML page."""
    return page.page(title, list(_sections(study)), about=about)


def _sections(study: Study) -> Iterator[Section]:
    yield Section("Summary", _facts(study))
    yield Section("Findings", _findings(study), "Gravest first, each with what can be done.")
    yield Section("Columns", _columns(study), "Of all rows.")
    yield Section("Distributions", page.grid(_distributions(study)), _of_sample(study))
    yield Section("Correlation", page.grid(_correlations(study)), _of_sample(study))
    yield Section("Pairs of numbers", page.grid(_scatters(study)), "Those that go together most.")
    yield Section("Multicollinearity", page.grid(_collinear(study)), _of_sample(study))
    yield Section("Target leakage", _leakage(study), _LEAKAGE)
    yield Section("Quick model", _model(study), _MODEL)
    yield Section("Over time", page.grid(_over_time(study)), _SERIES)


_LEAKAGE = (
    "What each column alone tells of the target, in folds: area under the ROC curve of a class "
    "(0.5 tells nothing), R² of a number (0 tells nothing). 1 tells all, and is known too late."
)
_MODEL = "Spark's random forest, learnt from 70 % of the sample and judged by the rest."
_SERIES = "Means of even steps, taken apart into trend, season and rest (STL)."


def _of_sample(study: Study) -> str:
    rows, sampled = study.evidence.rows, len(study.sample)
    if sampled == rows:
        return "Of all rows."
    return f"Of a sample: {sampled:,} of {rows:,} rows (at most {MOST_SAMPLED:,})."


def _facts(study: Study) -> Html:
    evidence = study.evidence
    cells = evidence.rows * len(evidence.columns)
    missing = sum(one.missing for one in evidence.columns)
    kinds = {kind: sum(one.kind == kind for one in evidence.columns) for kind in _KINDS}
    return page.facts(
        [
            ("rows", f"{evidence.rows:,}"),
            ("columns", f"{len(evidence.columns):,}"),
            ("missing values", f"{missing / cells:.1%}" if cells else "–"),
            ("rows that are there already", duplicated(evidence)),
            *((_KINDS[kind], count) for kind, count in kinds.items() if count),
        ]
    )


_KINDS = {
    "number": "numbers",
    "text": "texts",
    "boolean": "booleans",
    "time": "times",
    "other": "others",
}


def _findings(study: Study) -> Html:
    rows = [
        (page.badge(one.gravity, _TONES[one.gravity]), one.about, one.text, one.remedy)
        for one in study.findings
    ]
    if not rows:
        return page.note("Nothing was found.", "good")
    return page.table(["gravity", "where", "what", "what to do"], rows)


def _columns(study: Study) -> Html:
    head = ["column", "type", "missing", "different", "least", "median", "greatest", "mean", "±"]
    rows = [_column(one) for one in study.evidence.columns]
    return page.table(head, rows, numbers={2, 3, 4, 5, 6, 7, 8})


def _column(one: ColumnSummary) -> tuple[object, ...]:
    share = f"{one.missing / one.rows:.1%}" if one.rows else "–"
    different = f"{one.distinct:,}" if one.kind != "other" else None
    if one.kind != "number":
        return (one.name, one.type, share, different, one.minimum, None, one.maximum, None, None)
    middle = one.quantiles[2] if one.quantiles else None
    figures = (one.minimum, middle, one.maximum, one.mean, one.deviation)
    shown = [None if value is None else f"{value:,.6g}" for value in figures]
    return (one.name, one.type, share, different, *shown)


def _distributions(study: Study) -> Iterator[Html]:
    for one in study.evidence.columns[:_MOST_PLOTS]:
        if one.name not in study.sample.columns or not one.there:
            continue
        values = study.sample[one.name].dropna()
        if one.kind == "number" and one.distinct > _TOP:
            yield _histogram(one.name, values.astype(float).to_numpy())
        elif one.kind == "time":
            yield _times(one.name, values)
        elif one.kind in ("number", "text", "boolean"):
            counts = values.value_counts()
            items = [(str(value)[:60], float(count)) for value, count in counts.head(_TOP).items()]
            rest = float(counts.iloc[_TOP:].sum())
            shown = [*items, (f"{len(counts) - _TOP:,} others", rest)] if rest else items
            yield charts.bars(shown, title=one.name)


def _histogram(name: str, values: Any) -> Html:
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):  # of the widest range there is
        counts, edges = _binned(finite, _edges(finite))
    return charts.histogram([float(x) for x in edges], [float(x) for x in counts], title=name)


def _binned(values: Any, bins: Any) -> tuple[Any, Any]:
    """Counts and edges; where doubles cannot tell these apart, from the least value."""
    try:
        return np.histogram(values, bins=bins)
    except ValueError:  # identifiers of 18 digits side by side; a range as wide as doubles go
        quarter = values / 4
        counts, edges = np.histogram(quarter - quarter.min(), bins=_BINS)
        return counts, (edges + quarter.min()) * 4


def _edges(values: Any) -> Any:
    """Whole numbers of a short range have a bin each; others twenty."""
    if len(values) and (values == np.round(values)).all() and np.ptp(values) < _WHOLE:
        return np.arange(values.min() - 0.5, values.max() + 1)
    return _BINS


def _times(name: str, values: Any) -> Html:
    import pandas as pd

    moments = pd.to_datetime(values, utc=True, errors="coerce").dropna()
    seconds = moments.astype("datetime64[ns, UTC]").astype("int64").to_numpy() / 1e9
    counts, edges = _binned(seconds, _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    points = [(float(x), float(y)) for x, y in zip(middles, counts, strict=True)]
    return charts.line([charts.Series("rows", points)], title=name, y_label="rows", x_text=_day)


def _day(seconds: float) -> str:
    import pandas as pd

    return f"{pd.Timestamp(seconds, unit='s'):%Y-%m-%d}"


def _correlations(study: Study) -> Iterator[Html]:
    names = list(study.related)
    if len(names) > 1:
        yield charts.heat_map(names, names, study.pearson, title="Linear (Pearson)")
        yield charts.heat_map(names, names, study.spearman, title="Of ranks (Spearman)")
    names = list(study.categories)
    if len(names) > 1:
        yield charts.heat_map(names, names, study.cramer, title="Of categories (Cramér's V)")


def _scatters(study: Study) -> Iterator[Html]:
    pairs = sorted(study.evidence.pairs, key=lambda one: -abs(one[2]))
    for a, b, value in pairs[:_MOST_PAIRS]:
        both = study.sample[[a, b]].astype(float).replace([np.inf, -np.inf], np.nan).dropna()
        points = [(float(x), float(y)) for x, y in both.to_numpy()]
        if points:
            title = f"{b} by {a} ({value:+.2f})"
            yield charts.scatter(points, title=title, x_label=a, y_label=b)


def _collinear(study: Study) -> Iterator[Html]:
    inflation = sorted(study.evidence.inflation.items(), key=lambda one: -one[1])
    if inflation:
        yield charts.bars(inflation, title="Variance inflation (at most 50)")
    if study.components:
        shares = [(f"component {n}", one) for n, one in enumerate(study.components, start=1)]
        yield charts.bars(shares, title="Variance by principal component")
    sizes = [(name, abs(value)) for name, value in study.lasso]
    if any(value for _, value in sizes):
        yield charts.bars(sizes, title="Lasso: size of coefficients")


def _leakage(study: Study) -> Html:
    powers = study.evidence.powers
    if not powers:
        return Html("")
    items = [(one.column, one.score) for one in powers[:_MOST_PLOTS]]
    target = study.evidence.target
    return page.grid([charts.bars(items, title=f"Of {target.name if target else ''}")])


def _model(study: Study) -> Html:
    model = study.model
    if model is None:
        return Html("")
    told = page.facts(
        [
            ("problem", model.problem),
            (model.measure, f"{model.score:.4g}"),
            (f"{model.measure} of a constant answer", f"{model.baseline:.4g}"),
        ]
    )
    chart = charts.bars(list(model.importance[:_TOP]), title="Importance (Gini)")
    return joined([told, page.grid([chart])])


def _over_time(study: Study) -> Iterator[Html]:
    for one in study.series:
        yield from _parts(one)


def _parts(one: Decomposed) -> Iterator[Html]:
    title = f"{one.column}, steps of {one.step}"
    yield _line(one, [("observed", one.observed), ("trend", one.trend)], title)
    yield _line(one, [("season", one.season)], f"{one.column}: season of {one.period} steps")
    odd = f"{len(one.odd)} stand out" if one.odd else "nothing stands out"
    yield _line(one, [("rest", one.rest)], f"{one.column}: rest, {odd}")
    if one.odd:
        largest = sorted(one.odd, key=lambda n: -abs(one.rest[n]))[:_TOP]
        rows = [(one.times[n], f"{one.observed[n]:.6g}", f"{one.rest[n]:+.6g}") for n in largest]
        caption = f"{one.column}: what stands out"
        yield page.table(["time", "observed", "rest"], rows, caption=caption)


def _line(one: Decomposed, parts: Sequence[tuple[str, Sequence[float]]], title: str) -> Html:
    series = [
        charts.Series(name, [(float(n), value) for n, value in enumerate(values)])
        for name, values in parts
    ]

    def when(place: float) -> str:
        return one.times[min(max(round(place), 0), len(one.times) - 1)][:10]

    return charts.line(series, title=title, x_text=when)
