"""The rules of the protocol, one by one, so that each can be left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What every driver, the collector and whoever starts them keep to.

    Args:
        transactional: An append carries a transaction; one that is in the table is not repeated.
        transaction_per_window: That transaction has the window's name and its generation.
        remembers: A commit is found again however many came after it.
        marks_after_answers: A marker is put when every row of its chunk has its answer.
        staged_once: Online and offline are made from the staged rows, not from the source.
        manifest_stands: The first manifest stands.
        pinned_instants: ``api_invocation_time`` is that of the first attempt.
        rejects_before_marker: Rejects are durable before the marker that speaks of them.
        online_first: Offline is written when it is known what the service refused.
        fenced: Only the driver that claimed last appends events.
        looks_after_claim: What is staged and done is looked up after the claim, so DONE is the end.
        answers_for_itself: A driver answers for its own sources, not for those of the manifest that
            was faster.
        chunks_fixed: Rows of a chunk are counted as the manifest says.
        guarded: What the offline table knows a newer event of is not sent.
        selects_anew: A selection holds while the table is as it was.
        selection_checked: Who lost the race for a selection looks whether the winner's is of the
            table it has seen, and selects anew if it is older.
        compares: A generation appends what differs from the current row.
        compares_with_current: A row that was replaced is no longer there.
        finishes_first: A window that shares time with one that is staged and not done waits for it:
            that one was staged when nobody else had its rows.
        exclusive: Windows that share time are not run at the same time.
        corrects: A new value at an event time that is online is an UpdateRecord.
        update_checks: UpdateRecord applies to a record that is there and not newer.
        puts_where_gone: An update that finds no record becomes a PutRecord: the row at its event
            time may be in the offline table without ever having been sent.
        offline_only_adds: A run that sends nothing changes no value: nobody could mend it online,
            for a later run finds its rows offline as they should be.
        graceful: A generation begins when requests and drivers of the one before have died out.
        clocks_agree: The clock of a driver is not behind that of an earlier generation's driver.
        sends_every: In mode ``service`` every valid row is sent.
        collects_done: The collector takes what a generation has staged when it is DONE.
        collects_lost: It takes what a driver staged in vain when there is a manifest.
        collects_by_run: What a manifest stands for is told by its run, not by the files it names.
    """

    transactional: bool = True
    transaction_per_window: bool = True
    remembers: bool = True
    marks_after_answers: bool = True
    staged_once: bool = True
    manifest_stands: bool = True
    pinned_instants: bool = True
    rejects_before_marker: bool = True
    online_first: bool = True
    fenced: bool = True
    looks_after_claim: bool = True
    answers_for_itself: bool = True
    chunks_fixed: bool = True
    guarded: bool = True
    selects_anew: bool = True
    selection_checked: bool = True
    compares: bool = True
    compares_with_current: bool = True
    finishes_first: bool = True
    exclusive: bool = True
    corrects: bool = True
    update_checks: bool = True
    puts_where_gone: bool = True
    offline_only_adds: bool = True
    graceful: bool = True
    clocks_agree: bool = True
    sends_every: bool = True
    collects_done: bool = True
    collects_lost: bool = True
    collects_by_run: bool = True


PROTOCOL = Rules()
