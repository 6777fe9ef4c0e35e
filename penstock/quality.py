"""Great Expectations over the staged rows of one group, and what its verdict means for the run.

The only module that knows Great Expectations, imported where it is used: it costs seconds and is an
extra. Results are BOOLEAN_ONLY, so no value of a row gets into results, Data Docs or errors. What
Great Expectations cannot judge is an error of ours, never a pass.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import ContractError, DataGateError, MismatchError, UsageError
from penstock.expectation import keywords, split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from penstock.contract import Expectation, FeatureGroup, OnFail

_INDEX = "penstock"  # key in an expectation's meta: its place in our list, for GX reorders results
#: GX has one project a process, Python one list of warning filters: windows come one by one.
_ALONE = threading.RLock()


@dataclass(frozen=True)
class Finding:
    """One expectation and whether the set meets it."""

    type: str
    column: str | None
    on_fail: OnFail
    success: bool

    def __str__(self) -> str:
        return f"{self.type} on {self.column}" if self.column else self.type


@dataclass(frozen=True)
class Verdict:
    """What was found in the set called ``name``, in the order of the expectations.

    Args:
        name: The feature group.
        findings: One for each expectation.
        docs: First page of the Data Docs, where they were asked for.
    """

    name: str
    findings: tuple[Finding, ...]
    docs: Path | None = None


def needed(groups: Iterable[FeatureGroup]) -> bool:
    """Whether any has an expectation that Great Expectations judges; without one it is not needed.

    Data Docs are of its verdicts, so they alone do not need it.
    """
    return any(split(one.all_expectations).staged for one in groups)


def check(expectations: Sequence[Expectation]) -> None:
    """Let Great Expectations build what it will run, before any data is read.

    Raises:
        ContractError: Not on the allow-list, not ``fail`` or ``warn``, or arguments it refuses.
        UsageError: Great Expectations is not installed and there is an expectation to run.
    """
    if _staged(expectations):
        with _quiet():
            _built(expectations)


def validate(
    frame: DataFrame, expectations: Sequence[Expectation], name: str, docs: Path | None = None
) -> Verdict:
    """Run expectations over a set. Reads the frame several times and caches nothing.

    Args:
        frame: The staged rows of one group.
        expectations: ``fail`` and ``warn`` only; with none, GX is not even imported.
        name: The group, for errors and Data Docs.
        docs: Folder for this group's Data Docs (local), made or overwritten; None renders none.

    Raises:
        ContractError, UsageError: As :func:`check`.
        MismatchError: An expectation ended in an exception, or is missing among the results.
    """
    if not _staged(expectations):
        return Verdict(name, ())
    with _quiet():
        context = _context(docs)
        results, page = _run(context, frame, _built(expectations), name, docs)
    findings = tuple(
        Finding(one.type, keywords(one).get("column"), one.on_fail, success)
        for one, success in zip(expectations, results, strict=True)
    )
    return Verdict(name, findings, page)


def decide(verdict: Verdict) -> tuple[Finding, ...]:
    """The failed ``warn`` expectations, for the summary. Pure.

    Raises:
        DataGateError: A ``fail`` expectation is not met; all such are named in one line.
    """
    failed = [one for one in verdict.findings if not one.success]
    fatal = [str(one) for one in failed if one.on_fail == "fail"]
    if fatal:
        message = f"{verdict.name}: the staged set does not meet {'; '.join(fatal)}"
        remedy = "Nothing was published. Correct the data or the expectation, then run again"
        raise DataGateError(message, remedy)
    return tuple(failed)


def _staged(expectations: Sequence[Expectation]) -> tuple[Expectation, ...]:
    parts = split(expectations)
    if parts.gate:
        message = f"{parts.gate[0].type} with on_fail {parts.gate[0].on_fail} belongs to a gate"
        raise ContractError(message, "Over the staged set use fail or warn")
    return parts.staged


def _context(docs: Path | None) -> Any:
    gx = _library()
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}
    for site in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(site)  # the default one writes into a temporary folder
    if docs is not None:
        backend = {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs.resolve()),
        }
        config = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": backend,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
        context.add_data_docs_site("local", config)
    return context


def _library() -> Any:
    # Versions that report usage read this while they are imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    try:
        import great_expectations
    except ImportError as error:
        message = "expectations with on_fail fail or warn need Great Expectations"
        raise UsageError(message, "pip install 'penstock[quality]'") from error
    return great_expectations


def _built(expectations: Sequence[Expectation]) -> list[Any]:
    """Great Expectations' objects, each with its index in ``expectations``."""
    _library()
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    built = []
    for index, one in enumerate(expectations):
        arguments = _plain(keywords(one))
        described = ExpectationConfiguration(type=one.type, kwargs=arguments, meta={_INDEX: index})
        try:
            built.append(described.to_domain_obj())
        except Exception as error:  # its pydantic, of either version, and its own errors
            message = f"{one.type} on {one.column}: Great Expectations refuses the arguments"
            raise ContractError(message, _reason(error)) from error
    return built


def _run(
    context: Any, frame: DataFrame, built: list[Any], name: str, docs: Path | None
) -> tuple[list[bool], Path | None]:
    import great_expectations as gx

    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=built))
    source = context.data_sources.add_spark(name, persist=False)
    batches = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    try:
        batch = batches.get_batch({"dataframe": frame})
        result = batch.validate(suite, result_format="BOOLEAN_ONLY")
    except Exception as error:
        message = f"{name}: Great Expectations stopped with {type(error).__name__}"
        raise MismatchError(message, "The set was not judged; see the log file") from error
    successes = _successes(result, name, len(built))
    # Only now: a page would show the text of exceptions, which may hold values.
    return successes, None if docs is None else _page(context, result, docs)


def _page(context: Any, result: Any, docs: Path) -> Path:
    from great_expectations.core import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=result.suite_name)
    result.meta.update({"run_id": run, "validation_time": run.run_time})
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(name=result.suite_name),
        run_id=run,
        batch_identifier=result.batch_id,
    )
    context.validation_results_store.store_validation_results(result, key)
    context.build_data_docs()
    return docs.resolve() / "index.html"


def _successes(result: Any, name: str, count: int) -> list[bool]:
    by_index: dict[int, bool] = {}
    for one in result.results:
        broken = _exceptions(one.exception_info)
        if broken:
            subject = (
                f"{one.expectation_config.type} on {one.expectation_config.kwargs.get('column')}"
            )
            message = f"{name}: Great Expectations could not judge {subject}: {', '.join(broken)}"
            raise MismatchError(message, "Check the expectation against the type of its column")
        one.success = bool(one.success)  # may be numpy's, which GX itself cannot write as JSON
        by_index[one.expectation_config.meta[_INDEX]] = one.success
    if sorted(by_index) != list(range(count)):
        raise MismatchError(f"{name}: Great Expectations judged {len(by_index)} of {count}")
    result.success = all(by_index.values())
    return [by_index[index] for index in range(count)]


def _exceptions(info: Mapping[str, Any] | None) -> list[str]:
    """Names of the exceptions; their texts may hold values of rows and stay behind."""
    if not info:
        return []
    each = [info] if "raised_exception" in info else list(info.values())
    raised = [one for one in each if one["raised_exception"]]
    return sorted({_exception_name(str(one["exception_traceback"])) for one in raised})


def _exception_name(traceback: str) -> str:
    named = re.findall(r"^([A-Za-z_][\w.]*(?:Error|Exception|Warning))\b", traceback, re.MULTILINE)
    return named[-1].rsplit(".", 1)[-1] if named else "an exception"


def _reason(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[1:3]) or "Correct them"


def _plain(value: Any) -> Any:
    """Lists for tuples, dictionaries for read-only ones: GX copies and serializes them."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Alone with Great Expectations, its warnings and logging off the user's terminal."""
    with _ALONE:
        yield from _silenced()


def _silenced() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("great_expectations", "py.warnings")]
    before = [(one.propagate, one.level) for one in loggers]
    silent = logging.NullHandler()
    for one in loggers:
        one.addHandler(silent)
        one.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, (propagate, level) in zip(loggers, before, strict=True):
            one.removeHandler(silent)
            one.propagate = propagate
            one.setLevel(level)
