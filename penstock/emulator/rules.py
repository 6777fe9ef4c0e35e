"""The documented rules of the runtime operations, and which of them the embedded AWS keeps.

``docs/emulator-coverage.md`` is written from this table. Every rule that is kept is named by a test
(``pytest.mark.rule``). ``inferred`` means: no document says it, and it was not verified on AWS.
"""

from __future__ import annotations

from dataclasses import dataclass

_MODEL = "botocore model"
_REFERENCE = "API reference"
_GUIDE = "developer guide"
_QUOTAS = "developer guide, quotas"
_TYPES = "developer guide, data types"
_TTL = "developer guide, time to live"
_INFERRED = "inferred"


@dataclass(frozen=True)
class Rule:
    """One rule of one operation.

    Args:
        operation: Its name; ``all`` for a rule of all seven.
        rule: What holds, in a few words.
        source: Where it is written, or ``inferred``.
        emulated: Whether the embedded AWS keeps it.
        note: Doubts, settings, differences.
    """

    operation: str
    rule: str
    source: str
    emulated: bool
    note: str = ""


def _kept(operation: str, rule: str, source: str, note: str = "") -> Rule:
    return Rule(operation, rule, source, emulated=True, note=note)


def _missing(operation: str, rule: str, source: str, note: str) -> Rule:
    return Rule(operation, rule, source, emulated=False, note=note)


_ALL = (
    _kept("all", "signed by Signature Version 4", "AWS Signature Version 4"),
    _kept("all", "what was answered survives the end of any process", "penstock",
          "SQLite WAL, synchronous=NORMAL: a power cut may take the last commits"),
    _kept("all", "a group is named or given by its ARN", _MODEL),
    _kept("all", "an ARN of elsewhere finds nothing", _INFERRED, "account, Region, partition"),
    _kept("all", "names match without regard to case", _INFERRED, "ARNs are in lower case"),
    _kept("all", "an unknown group is 404, or 400 where the model lacks 404", _MODEL,
         "400 ValidationError of PutRecord as recorded in sagemaker-python-sdk issue 2606"),
    _kept("all", "a group that is not Created is refused", _INFERRED, "400 ValidationError"),
    _kept("all", "enums, patterns, lengths and ranges of the model", _MODEL),
    _kept("all", "unknown members of a request are refused", _INFERRED,
         "a client that misspells one should hear of it; AWS may ignore them"),
    _missing("all", "IAM policies and KMS grants", _GUIDE, "scripted: denied"),
    _missing("all", "calls per second of an account and operation", _QUOTAS, "no call quota"),
)  # fmt: skip
_PUT = (
    _kept("PutRecord", "a later event time overwrites", _REFERENCE),
    _kept("PutRecord", "an older event time is answered 200 and ignored online", _REFERENCE),
    _kept("PutRecord", "an equal event time is ignored or applied", "documents disagree",
         "setting ties; API reference: ignored, developer guide: applied"),
    _kept("PutRecord", "features left out are gone", _REFERENCE),
    _kept("PutRecord", "identifier and event time must be there", _GUIDE),
    _kept("PutRecord", "an undefined feature is refused", _GUIDE),
    _kept("PutRecord", "a feature given twice is refused", _INFERRED),
    _kept("PutRecord", "values have the type of their feature", _TYPES,
         "signed 64-bit, finite double, UTF-8"),
    _kept("PutRecord", "text event times are ISO 8601 with T and Z", _TYPES,
         "0 to 9 fractional digits; which lengths AWS takes is not documented"),
    _kept("PutRecord", "numeric event times are epoch seconds", _TYPES, "years 0000 to 9999"),
    _kept("PutRecord", "instants are compared, not texts", _INFERRED),
    _kept("PutRecord", "a record has at most 350 KB", _QUOTAS,
         "UTF-8 bytes of names and values; how AWS counts is not documented"),
    _kept("PutRecord", "an identifier has at most 2 KB", _QUOTAS),
    _kept("PutRecord", "collections are lists, sets are unique, vectors have their dimension",
         _GUIDE),
    _kept("PutRecord", "TargetStores chooses the stores", _REFERENCE),
    _kept("PutRecord", "a store the group lacks is refused", _INFERRED),
    _kept("PutRecord", "every write goes offline, historic ones too", _REFERENCE),
    _kept("PutRecord", "a record's TtlDuration overrides the group's", _TTL),
    _kept("PutRecord", "a new default TtlDuration is for later records only", _TTL),
    _kept("PutRecord", "write units per identifier and account", _QUOTAS,
         "scripted quotas; none by default"),
)  # fmt: skip
_EXPIRY = (
    _kept("GetRecord", "a record expires at event time plus TtlDuration", _TTL),
    _kept("GetRecord", "an expired record is absent at once", _INFERRED,
         "AWS deletes within days; what it shows until then is not documented"),
    _kept("PutRecord", "an expired record no longer guards, or still does", _INFERRED,
         "setting expiry: forget or guard"),
    _kept("PutRecord", "expiry deletes the record and adds a deletion offline", _TTL,
         "within seconds; its event time is the moment of expiry (inferred)"),
)  # fmt: skip
_GET = (
    _kept("GetRecord", "no record is an empty answer", _REFERENCE),
    _kept("GetRecord", "FeatureNames chooses the features", _REFERENCE),
    _kept("GetRecord", "an undefined FeatureName is refused", _INFERRED),
    _kept("GetRecord", "ExpiresAt is shown when asked for", _REFERENCE),
    _kept("GetRecord", "a group without an online store is refused", _INFERRED),
)
_DELETE = (
    _kept("DeleteRecord", "a soft delete hides the record and guards", _REFERENCE),
    _kept("DeleteRecord", "a stale soft delete changes nothing online", _REFERENCE),
    _kept("DeleteRecord", "a soft delete goes offline, stale or not", _REFERENCE),
    _kept("DeleteRecord", "a hard delete removes the record", _REFERENCE,
         "an older put may then come back (inferred)"),
    _kept("DeleteRecord", "a stale hard delete is 400 and goes nowhere", _REFERENCE),
    _kept("DeleteRecord", "an equal event time deletes as ties say", _INFERRED),
    _kept("DeleteRecord", "EventTime has the form of the group's", _INFERRED),
)  # fmt: skip
_BATCH_GET = (
    _kept("BatchGetRecord", "1 to 100 groups of 1 to 100 identifiers", _MODEL),
    _kept("BatchGetRecord", "what fails is an error per identifier", _REFERENCE),
    _kept("BatchGetRecord", "absent records are left out", _REFERENCE),
    _kept("BatchGetRecord", "UnprocessedIdentifiers", _REFERENCE, "scripted alone"),
)
_BATCH_WRITE = (
    _kept("BatchWriteRecord", "1 to 25 entries", _MODEL),
    _kept("BatchWriteRecord", "bad values fail their entry alone", _REFERENCE),
    _kept("BatchWriteRecord", "a broken shape fails the call", _INFERRED),
    _kept("BatchWriteRecord", "an unknown group fails the call", _MODEL, "404"),
    _kept("BatchWriteRecord", "UnprocessedEntries", _REFERENCE, "scripted faults and quotas"),
    _kept("BatchWriteRecord", "TtlDuration: entry, then request, then group", _REFERENCE),
    _kept("BatchWriteRecord", "entries of one identifier apply in order", _INFERRED),
)
_LIST = (
    _kept("ListRecords", "pages of at most 100 with NextToken", _REFERENCE,
         "in the order of identifiers (inferred)"),
    _kept("ListRecords", "a token of another question is refused", _INFERRED),
    _kept("ListRecords", "soft-deleted records on request alone", _REFERENCE),
    _kept("ListRecords", "expired records are not listed", _INFERRED),
    _missing("ListRecords", "InMemory takes MaxResults as a hint", _REFERENCE, "kept exactly"),
)  # fmt: skip
_UPDATE = (
    _kept("UpdateRecord", "Standard_V2 and InMemory alone", _REFERENCE),
    _kept("UpdateRecord", "a missing or soft-deleted record is 404", _REFERENCE),
    _kept("UpdateRecord", "an older event time is 409", _REFERENCE),
    _kept("UpdateRecord", "an equal, later or no event time applies", _REFERENCE),
    _kept("UpdateRecord", "other features stay", _REFERENCE),
    _kept("UpdateRecord", "at most 100 features, none twice", _REFERENCE),
    _kept("UpdateRecord", "the identifier cannot change", _INFERRED),
    _kept("UpdateRecord", "values are checked as in PutRecord", _INFERRED),
    _kept("UpdateRecord", "TtlDuration needs the event time", _REFERENCE),
    _kept("UpdateRecord", "TargetStores must have OnlineStore", _REFERENCE),
    _kept("UpdateRecord", "the whole record goes offline", _INFERRED,
         "whether AWS writes the merged record or a part is not documented"),
)  # fmt: skip

#: All rules of the runtime.
RULES: tuple[Rule, ...] = (
    _ALL + _PUT + _EXPIRY + _GET + _DELETE + _BATCH_GET + _BATCH_WRITE + _LIST + _UPDATE
)
