"""Deletions, corrections, times to live and stores of their own: the requests botocore makes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import botocore.session
import pyarrow as pa
import pytest
from botocore.serialize import create_serializer
from botocore.utils import percent_encode_sequence
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CredentialsError, MismatchError, TemporaryError, UsageError
from penstock.online import SendJob
from penstock.online.body import BATCH_PATH, encode, frame_of
from penstock.online.parcel import chunks_of
from penstock.online.transport import Answer, Request
from tests.event_loop import FINE, ID, drive, entries, identifier, prepared, refusal
from tests.sending import JOB, TIME, table

MODEL = botocore.session.Session().get_service_model("sagemaker-featurestore-runtime")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:feature-group/birds"


def controlled(rows: int, **controls: list[Any]) -> pa.Table:
    """Birds with control columns, ``deleted`` for ``_deleted`` and so on; deleted ones are bare."""
    data = table(rows)
    for name, values in controls.items():
        kind = pa.int64() if name == "ttl_s" else pa.bool_()
        data = data.append_column(f"_{name}", pa.array(values, kind))
    for name in ("kind", "length", "legs") if "deleted" in controls else ():
        place = data.schema.get_field_index(name)
        values = data.column(name).to_pylist()
        bare = [
            None if gone else one for one, gone in zip(values, controls["deleted"], strict=True)
        ]
        data = data.set_column(place, name, pa.array(bare, data.schema.field(name).type))
    return data


def requests(data: pa.Table, job: SendJob = JOB, api: Any = "batch") -> list[Request]:
    """What is sent of one chunk when nothing goes wrong."""
    frame = frame_of(job.group, job.target_stores)
    (chunk,) = chunks_of(iter(data.to_batches()), job, frame, set())
    found = []
    while (parcel := chunk.cut(api)) is not None:
        found.append(parcel.request(api))
    return found


def wanted(operation: str, **parameters: Any) -> tuple[str, str, list[tuple[str, str]], Any]:
    """Method, path, query and body as botocore's serializer makes them."""
    model = MODEL.operation_model(operation)
    made = create_serializer("rest-json", include_validation=True).serialize_to_request(
        parameters, model
    )
    query = parse_qsl(urlencode(made["query_string"], doseq=True))
    body = json.loads(made["body"]) if made["body"] else None
    return made["method"], made["url_path"], sorted(query), body


def found(request: Request) -> tuple[str, str, list[tuple[str, str]], Any]:
    """The same of a request of ours."""
    parts = urlsplit(request.path)
    body = json.loads(request.body) if request.body else None
    return request.method, parts.path, sorted(parse_qsl(parts.query)), body


def bird(name: str, **changes: str | None) -> list[dict[str, str]]:
    """A bird's record."""
    values: dict[str, str | None] = {"id": name, "at": TIME, "kind": "wren"}
    values |= {"length": "10.5", "legs": "2"} | changes
    return [
        {"FeatureName": feature, "ValueAsString": value}
        for feature, value in values.items()
        if value is not None
    ]


@pytest.mark.parametrize("group", ["birds", ARN])
@pytest.mark.parametrize("mode", ["SoftDelete", "HardDelete"])
@pytest.mark.parametrize("stores", [("OnlineStore",), ("OnlineStore", "OfflineStore")])
def test_a_deletion_is_a_delete_record(group: str, mode: Any, stores: tuple[str, ...]) -> None:
    """Method, path, query as botocore's; the query stands as the signature wants it."""
    job = replace(JOB, group=group, deletion=mode, target_stores=stores)
    (request,) = requests(controlled(1, deleted=[True]), job)
    parameters = {"RecordIdentifierValueAsString": "k0", "EventTime": TIME, "DeletionMode": mode}
    assert found(request) == wanted(
        "DeleteRecord", FeatureGroupName=group, TargetStores=list(stores), **parameters
    )
    query = urlsplit(request.path).query
    assert query.split("&") == sorted(query.split("&"))
    assert "+" not in query


@pytest.mark.parametrize("group", ["birds", ARN])
def test_a_correction_is_an_update_record(group: str) -> None:
    """All features that are not null but the identifier, which stands beside them."""
    job = replace(JOB, group=group)
    data = controlled(1, correct=[True], ttl_s=[60])
    (request,) = requests(data, job)
    assert found(request) == wanted(
        "UpdateRecord",
        FeatureGroupName=group,
        RecordIdentifierValueAsString="k0",
        Features=bird("k0")[1:],
        TargetStores=["OnlineStore"],
        TtlDuration={"Unit": "Seconds", "Value": 60},
    )


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_identifier_is_deleted_and_corrected(name: str) -> None:
    """Quotes, backslashes, slashes, newlines, emoji: the identifier arrives as it is.

    The query is encoded as botocore encodes one: what is signed is what the service reads.
    """
    plain = table(2, id=[name, name])
    data = plain.append_column("_deleted", pa.array([True, False]))
    data = data.append_column("_correct", pa.array([False, True]))
    delete, update = requests(data)
    assert ("RecordIdentifierValueAsString", name) in parse_qsl(
        urlsplit(delete.path).query, keep_blank_values=True
    )
    query: Any = sorted({"EventTime": TIME, "RecordIdentifierValueAsString": name}.items())
    query = [("DeletionMode", "SoftDelete"), *query, ("TargetStores", "OnlineStore")]
    assert urlsplit(delete.path).query == percent_encode_sequence(query)
    document = json.loads(update.body)
    assert document["RecordIdentifierValueAsString"] == name
    assert document["Features"] == bird(name)[1:]


@pytest.mark.parametrize("api", ["batch", "put"])
def test_stores_and_times_to_live_are_each_records_own(api: Any) -> None:
    """Offline alone, and seconds: in a batch and singly, null and false as if not there."""
    data = controlled(4, offline_only=[True, False, None, True], ttl_s=[None, 5, None, 7])
    stores = [["OfflineStore"], ["OnlineStore"], ["OnlineStore"], ["OfflineStore"]]
    ttl = [None, 5, None, 7]
    expected = []
    for row in range(4):
        entry: dict[str, Any] = {"Record": bird(f"k{row}"), "TargetStores": stores[row]}
        if ttl[row] is not None:
            entry["TtlDuration"] = {"Unit": "Seconds", "Value": ttl[row]}
        expected.append(entry)
    sent = requests(data, api=api)
    if api == "batch":
        (request,) = sent
        named = [{"FeatureGroupName": "birds"} | entry for entry in expected]
        assert found(request) == wanted("BatchWriteRecord", Entries=named)
        return
    for request, entry in zip(sent, expected, strict=True):
        assert found(request) == wanted("PutRecord", FeatureGroupName="birds", **entry)


def test_controls_that_say_nothing_change_nothing() -> None:
    """All false and null: byte for byte what a file without them makes."""
    none = [None, False, None]
    quiet = controlled(3, deleted=none, correct=none, offline_only=none, ttl_s=[None] * 3)
    assert [one.body for one in requests(quiet)] == [one.body for one in requests(table(3))]


def test_rows_of_their_own_do_not_spoil_batches() -> None:
    """Every other row deleted: the others still travel by 25, then the deletions singly."""
    data = controlled(100, deleted=[bool(n % 2) for n in range(100)])
    sent = requests(data)
    batches = [one for one in sent if one.path == BATCH_PATH]
    assert [len(entries(one)) for one in batches] == [25, 25]
    assert [identifier(e) for one in batches for e in entries(one)] == [
        f"k{n}" for n in range(0, 100, 2)
    ]
    assert [one.method for one in sent[2:]] == ["DELETE"] * 50


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array(["yes"]), "'_deleted' is string, not bool"),
        (pa.array([1]), "'_deleted' is int64, not bool"),
    ],
)
def test_a_control_of_another_type_is_refused(column: pa.Array, says: str) -> None:
    """Nothing is guessed about what deletes."""
    batch = table(1).append_column("_deleted", column).to_batches()[0]
    with pytest.raises(MismatchError, match=says):
        encode(JOB, frame_of("birds", ("OnlineStore",)), batch)


GONE = refusal("ResourceNotFound", "The record does not exist.", 404)
NEWER = refusal("ConflictException", "EventTime is older than that of the record.", 409)
STALE = refusal(
    "ValidationException", "EventTime: must be later than the EventTime of the existing record."
)


def late(answer: Answer) -> Any:
    """All calls that are no batch are answered so."""
    return lambda request, _: FINE if request.path == BATCH_PATH else answer


@pytest.mark.parametrize(
    ("control", "answer"),
    [
        ("correct", GONE),
        ("correct", NEWER),
        ("correct", refusal("ResourceNotFound", "", 404)),
        ("correct", refusal("ConflictException", "", 409)),
        ("deleted", STALE),
        ("deleted", refusal("ValidationError", "The event time is older than the record's.")),
    ],
)
def test_what_comes_too_late_is_skipped(control: str, answer: Answer) -> None:
    """A newer value or a deletion won: counted as skipped, no reject, nothing sent again."""
    data = controlled(50, **{control: [n % 5 == 0 for n in range(50)]})
    bench, shelf, _ = drive(late(answer), data=data, rows=50, deletion="HardDelete")
    (chunk,) = shelf.chunks
    figures = chunk.figures
    assert (figures.sent, figures.accepted, figures.skipped, figures.rejected) == (50, 40, 10, 0)
    assert figures.repeated == 0
    assert sum(figures.by_code.values()) == 10
    assert len(bench.calls) == 12


@pytest.mark.parametrize(
    ("control", "answer"),
    [
        ("deleted", refusal("ValidationException", "EventTime is not a valid time")),
        ("deleted", refusal("ValidationException", "no such feature")),
        ("correct", refusal("ValidationException", "one feature too many")),
    ],
)
def test_what_is_wrong_is_rejected_with_its_controls(control: str, answer: Answer) -> None:
    """Another refusal is the row's own fault; the reject keeps saying what it was."""
    data = controlled(50, **{control: [n == 7 for n in range(50)]})
    _, shelf, _ = drive(late(answer), data=data, rows=50, deletion="HardDelete")
    (chunk,) = shelf.chunks
    assert [one.row for one in chunk.rejects] == [7]
    assert (chunk.figures.accepted, chunk.figures.skipped, chunk.figures.rejected) == (49, 0, 1)
    assert chunk.rows.schema.names[-1] == f"_{control}"


@pytest.mark.parametrize("control", ["deleted", "correct"])
def test_a_group_that_flickers_skips_and_rejects_nothing(control: str) -> None:
    """'Resource Not Found' of the group is no word about the record; if it stays, exit 75."""
    words = "Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name [record]."
    missing = refusal("ResourceNotFound", words, 404)
    count = iter(range(10**6))
    data = controlled(50, **{control: [True] * 50})
    _, shelf, _ = drive(lambda *_: missing if next(count) % 7 == 3 else FINE, data=data, rows=50)
    figures = shelf.chunks[0].figures
    assert (figures.accepted, figures.skipped, figures.rejected) == (50, 0, 0)
    bench, _, _, sender = prepared(lambda *_: missing, data=data, rows=50)
    with pytest.raises(TemporaryError, match="in 5 tries"):
        bench.run(sender)


def test_rights_and_operations_are_named() -> None:
    """Denied or unknown: the run ends and says which operation it is about."""
    data = controlled(50, correct=[True] * 50)
    for answer, kind, says in (
        (refusal("AccessDeniedException", "no", 403), CredentialsError, "birds"),
        (refusal("UnknownOperationException", "", 404), UsageError, "UpdateRecord"),
        (Answer(404, ID, b'{"message":"Not Found"}'), UsageError, "UpdateRecord"),
    ):
        bench, shelf, _, sender = prepared(late(answer), data=data, rows=50)
        with pytest.raises(kind, match=says) as caught:
            bench.run(sender)
        assert kind is not CredentialsError or "sagemaker:UpdateRecord" in caught.value.remedy
        assert not shelf.chunks
        assert len(bench.calls) == 1
