"""Being asked to stop, and losing a process, are no defects: 75, or an interrupt."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.run.interruption import cancelled, lost, own_interrupt, terminable


@pytest.mark.shows("3.4")
def test_sigterm_interrupts_while_a_run_lives_and_then_no_more() -> None:
    """As Ctrl-C does; afterwards the process ends by it as any other."""
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _swallowed() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise RuntimeError("An error occurred while calling o45.collectToPython") from None


def _inside() -> None:
    with pytest.raises(KeyboardInterrupt), terminable():
        _swallowed()
    raise RuntimeError("missed it")


@pytest.mark.shows("3.4")
def test_what_is_inside_hears_of_an_interrupt_as_what_is_around_it() -> None:
    """Whoever tells of a run stands between the two; the handler stays until the outer one ends."""
    with pytest.raises(KeyboardInterrupt), terminable():
        _inside()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    "text",
    [
        "org.apache.spark.SparkException: Job 3 cancelled part of cancelled job group x",
        "[SPARK_JOB_CANCELLED] Job 3 cancelled as part of cancellation of all jobs",
    ],
)
def test_cancelled_jobs_are_no_defect(text: str) -> None:
    """A backfill that is stopped cancels those of its windows: 75, in the words of 3.5 and 4."""
    error = cancelled(RuntimeError(text))
    assert error is not None
    assert error.exit_code == 75
    assert cancelled(RuntimeError("Job aborted due to stage failure")) is None


@pytest.mark.shows("3.4")
def test_an_interrupt_that_was_swallowed_is_one_all_the_same() -> None:
    """py4j may answer it with an error of its own: somebody asked to stop, nothing died."""
    with pytest.raises(KeyboardInterrupt), terminable():
        _swallowed()


def test_somebody_elses_handler_stays() -> None:
    """Whoever embeds the engine may have a way of its own to end."""
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == [signal.SIGTERM]


def test_a_session_that_takes_ctrl_c_for_itself_does_not_get_it() -> None:
    """What stood before stands again."""
    before = signal.getsignal(signal.SIGINT)
    with own_interrupt():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "text",
    [
        "Job aborted: SparkException: Python worker exited unexpectedly (crashed)",
        "ExecutorLostFailure (executor 1 exited caused by one of the running tasks)",
        "An error occurred while calling o45.collectToPython",
        "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe",
    ],
)
def test_a_process_that_died_is_worth_another_try(text: str) -> None:
    """Exit 75, in the words of Spark 3.5, 4.1 and py4j, or by the port nobody answers at."""
    assert lost(ConnectionRefusedError(111, "Connection refused")) is not None
    error = lost(RuntimeError(text))
    assert error is not None
    assert error.exit_code == 75


@pytest.mark.parametrize(
    "text", ["An error occurred while calling o45.load.\n: java.lang.X", "KeyError: 'a'", ""]
)
def test_another_error_is_not_explained_away(text: str) -> None:
    """A defect stays one."""
    assert lost(RuntimeError(text)) is None
