"""The documented rules of control plane, offline store and catalogue, in the form of ``rules``."""

from __future__ import annotations

from penstock.emulator.rules import Rule

_MODEL = "botocore model"
_REFERENCE = "API reference"
_GUIDE = "developer guide"
_QUOTAS = "developer guide, quotas"
_OFFLINE = "developer guide, offline store"
_NOTEBOOK = "AWS's notebook on catalogue configuration"
_INFERRED = "inferred"


def _kept(operation: str, rule: str, source: str, note: str = "") -> Rule:
    return Rule(operation, rule, source, emulated=True, note=note)


def _missing(operation: str, rule: str, source: str, note: str) -> Rule:
    return Rule(operation, rule, source, emulated=False, note=note)


_CREATE = (
    _kept("CreateFeatureGroup", "names, lengths, enums and patterns of the model", _MODEL),
    _kept("CreateFeatureGroup", "a name is taken once", "moto's tests", "ResourceInUse"),
    _kept("CreateFeatureGroup", "the ARN has the name in lower case", "moto, floci"),
    _kept("CreateFeatureGroup", "at least one of the two stores", _REFERENCE),
    _kept("CreateFeatureGroup", "identifier and event time are among the features", _REFERENCE),
    _kept("CreateFeatureGroup", "the event time is String or Fractional", _REFERENCE),
    _kept("CreateFeatureGroup", "Iceberg needs a String event time", _REFERENCE),
    _kept("CreateFeatureGroup", "reserved feature names", _REFERENCE,
         "is_deleted, write_time, api_invocation_time, in any case"),
    _kept("CreateFeatureGroup", "a feature is defined once", _INFERRED),
    _kept("CreateFeatureGroup", "at most 2,500 features", _QUOTAS),
    _kept("CreateFeatureGroup", "collections need the InMemory online store", _GUIDE),
    _kept("CreateFeatureGroup", "one Vector, Fractional, of 1 to 8,192 values", _GUIDE),
    _kept("CreateFeatureGroup", "InMemory takes no offline store", _GUIDE),
    _kept("CreateFeatureGroup", "an offline store needs a role", _REFERENCE,
         "the role itself is not looked at"),
    _kept("CreateFeatureGroup", "TtlDuration has unit and value", _REFERENCE),
    _kept("CreateFeatureGroup", "Provisioned has units and the Standard store", _REFERENCE,
         "or no online store"),
    _kept("CreateFeatureGroup", "40,000 provisioned units of a group, 80,000 of a Region", _QUOTAS),
    _kept("CreateFeatureGroup", "100 groups of an account", _QUOTAS, "a soft quota"),
    _kept("CreateFeatureGroup", "4 creations at a time", "AWS workbench documentation"),
    _kept("CreateFeatureGroup", "Creating, then Created", _REFERENCE,
         "setting create_delay; none by default"),
    _kept("CreateFeatureGroup", "at most 50 tags", _MODEL),
    _missing("CreateFeatureGroup", "encryption keys", _GUIDE, "kept and described, not used"),
    _missing("CreateFeatureGroup", "InMemory takes 10 to 15 minutes", _GUIDE,
             "all groups take create_delay"),
)  # fmt: skip
_DESCRIBE = (
    _kept("DescribeFeatureGroup", "by name or ARN", _MODEL),
    _kept("DescribeFeatureGroup", "what was sent, and what the service adds", _REFERENCE),
    _kept("DescribeFeatureGroup", "2,500 features a page", _REFERENCE),
    _kept("DescribeFeatureGroup", "an unknown group is ResourceNotFound", _MODEL),
    _missing("DescribeFeatureGroup", "OnlineStoreTotalSizeBytes", _REFERENCE, "left out"),
)
_UPDATE = (
    _kept("UpdateFeatureGroup", "one kind of change at a time", _REFERENCE),
    _kept("UpdateFeatureGroup", "features are added, 1 to 100 at once", _REFERENCE),
    _kept("UpdateFeatureGroup", "a TtlDuration is set, or taken away by nulls", _REFERENCE),
    _kept("UpdateFeatureGroup", "Standard becomes Standard_V2, nothing else moves", _REFERENCE),
    _kept("UpdateFeatureGroup", "throughput can be changed, to on-demand once in 24 hours",
         _REFERENCE),
    _kept("UpdateFeatureGroup", "one update at a time", _REFERENCE,
         "documented for throughput; for all kinds here"),
    _kept("UpdateFeatureGroup", "LastUpdateStatus InProgress, then Successful", _REFERENCE,
         "setting create_delay; never Failed"),
    _kept("UpdateFeatureGroup", "new features count when the update is done", _INFERRED,
         "described at once"),
    _missing("UpdateFeatureGroup", "up to five minutes until an answer shows it", _REFERENCE,
             "answers never lag"),
)  # fmt: skip
_DELETE = (
    _kept("DeleteFeatureGroup", "online records are gone at once", _REFERENCE),
    _kept("DeleteFeatureGroup", "Deleting, then gone", _REFERENCE, "setting create_delay"),
    _kept("DeleteFeatureGroup", "offline data and Glue tables stay", _REFERENCE),
    _kept("DeleteFeatureGroup", "what was acknowledged still goes offline", _INFERRED),
    _missing("DeleteFeatureGroup", "DeleteFailed", _REFERENCE, "deletions succeed"),
)
_LIST = (
    _kept("ListFeatureGroups", "filters by name, status, offline status and creation", _REFERENCE),
    _kept("ListFeatureGroups", "sorted as asked for", _REFERENCE),
    _kept("ListFeatureGroups", "pages of 1 to 100", _MODEL),
    _missing("Search", "groups and features by their metadata", _REFERENCE, "no such operation"),
)
_ANNOTATIONS = (
    _kept("AddTags", "tags are added and replaced, 50 at most", _MODEL),
    _kept("ListTags", "tags of a group by its ARN", _MODEL),
    _kept("DeleteTags", "tags are taken away", _MODEL),
    _kept("UpdateFeatureMetadata", "a description and up to 25 parameters", _REFERENCE),
    _kept("DescribeFeatureMetadata", "what was said about a feature", _REFERENCE),
)
_REPLICATION = (
    _kept("offline store", "rows come later, by a buffer", _OFFLINE,
         "setting replication_delay, 5 seconds by default; AWS: within 15 minutes"),
    _kept("offline store", "Parquet below year, month, day, hour of the event time", _OFFLINE),
    _kept("offline store", "files are named by their latest event time", _OFFLINE),
    _kept("offline store", "write_time, api_invocation_time and is_deleted", _OFFLINE,
         "the physical type of the times is not documented; UTC microseconds here"),
    _kept("offline store", "a deletion is a row of identifier and event time", _OFFLINE),
    _kept("offline store", "Iceberg by truncate(event_time, 10)", "connector's tests",
         "needs pyiceberg (extra iceberg); times are timestamptz; files have no field ids"),
    _kept("offline store", "OfflineStoreStatus Blocked and BlockedReason", _REFERENCE,
         "when files cannot be written; it ends by itself when the cause is gone"),
    _kept("offline store", "no row is lost or written twice", _INFERRED,
         "AWS may repeat; a kill of the server at any moment included"),
    _missing("offline store", "S3 API, SSE-KMS, bucket policies", _OFFLINE, "buckets are folders"),
)  # fmt: skip
_TABLES = (
    _kept("Glue table", "made under a generated name", _NOTEBOOK,
         "in sagemaker_featurestore: the name with _ for -, then _ and the epoch of creation"),
    _kept("Glue table", "made under your names, its database too", _NOTEBOOK),
    _kept("Glue table", "an existing table ends in CreateFailed", _NOTEBOOK),
    _kept("Glue table", "your own table is associated and never altered", _NOTEBOOK),
    _kept("Glue table", "none with DisableGlueTableCreation alone", _NOTEBOOK),
    _kept("Glue table", "Iceberg needs DisableGlueTableCreation to be false", _REFERENCE),
    _kept("Glue table", "lower-case names, AwsDataCatalog", _NOTEBOOK),
    _kept("Glue table", "string, bigint, double and partition keys of type string", _NOTEBOOK),
    _kept("Glue table", "added features become columns", _INFERRED),
    _kept("Glue table", "partitions are registered", _INFERRED,
         "whether AWS registers or projects them is not documented"),
)  # fmt: skip
_GLUE = (
    _kept("Glue", "databases and tables by lower-case names", "Glue API reference"),
    _kept("Glue", "a stale VersionId is ConcurrentModificationException", "Glue API reference"),
    _kept("Glue", "partitions, filtered by equality", "Glue API reference",
         "other expressions are refused"),
    _missing("Glue", "crawlers, jobs, Lake Formation", "Glue API reference", "unknown operations"),
    _kept("Glue", "the shapes of the model", "botocore model"),
    _kept("STS", "GetCallerIdentity of one account", "STS API reference"),
)  # fmt: skip

#: All rules that are not of the runtime.
CONTROL_RULES: tuple[Rule, ...] = (
    _CREATE + _DESCRIBE + _UPDATE + _DELETE + _LIST + _ANNOTATIONS + _REPLICATION + _TABLES + _GLUE
)
