"""What the crawler's role may do, and who may take it: IAM documents, and nothing is sent.

From the AWS Glue developer guide ("Crawler prerequisites", "Specifying AWS Glue resource ARNs"),
AWS's Service Authorization Reference, and the crawler's role that AWS publishes for Kubecost's
reports, which has no more than the like of this. The guide attaches the managed policy
AWSGlueServiceRole instead, which allows ``glue:*`` on everything. Not verified on AWS.
"""

from __future__ import annotations

from typing import Any

from penstock.crawler.place import Account, Offline

LOG_GROUP = "/aws-glue/crawlers"  # of all crawlers of an account; each has a stream of its own name
_VERSION = "2012-10-17"  # of the policy language


def trust() -> dict[str, Any]:
    """Glue, and nobody else, takes the role.

    Without ``aws:SourceAccount``: that Glue says it when it takes a role is not documented, and a
    role cannot be handed to a service of another account (IAM user guide, ``iam:PassRole``).
    """
    principal = {"Service": "glue.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": _VERSION, "Statement": [statement]}


def permissions(
    account: Account,
    crawler: str,
    database: str,
    where: Offline,
    *,
    creates: bool,
    kms_key: str | None,
) -> dict[str, Any]:
    """Reading the offline tables, looking at their entries in the catalogue, writing its own log.

    No statement is about ``*``. Nothing may be changed or deleted, neither a table nor an object:
    ``SchemaChangePolicy`` LOG asks for neither, and manifests, for which the guide wants writing to
    Delta tables, are off. A table of another name than ours cannot be made.

    Args:
        account: Where the crawler is.
        crawler: Its name, which is that of its log stream.
        database: The Glue database.
        where: The offline tables.
        creates: Whether it may make tables that are missing.
        kms_key: ARN of the key the objects are encrypted with; None grants nothing on keys.
    """
    statements = [
        *_objects(account, where),
        _catalogue(account, database, where, creates=creates),
        *_log(account, crawler),
    ]
    if kms_key is not None:
        statements.append(_key(account, kms_key))
    return {"Version": _VERSION, "Statement": statements}


def _objects(account: Account, where: Offline) -> list[dict[str, Any]]:
    """The folder of offline tables: not quarantine, documents or other parts of the lake.

    One folder instead of one a table, for a role's inline policies hold 10,240 characters in all
    (IAM quotas).
    """
    bucket = f"arn:{account.partition}:s3:::{where.bucket}"
    folder = f"{where.prefix}/*"
    return [
        {
            "Sid": "ListOfflineTables",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": folder}},
        },
        {
            "Sid": "ReadOfflineTables",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"{bucket}/{folder}",
        },
    ]


def _catalogue(account: Account, database: str, where: Offline, *, creates: bool) -> dict[str, Any]:
    """An action on a table is allowed on it, its database and the catalogue, or not at all."""
    actions = [
        "glue:GetDatabase",
        "glue:GetTable",
        "glue:GetPartition",
        "glue:GetPartitions",
        "glue:BatchGetPartition",
    ]
    return {
        "Sid": "OurTables",
        "Effect": "Allow",
        "Action": [*actions, "glue:CreateTable"] if creates else actions,
        "Resource": [
            account.arn("glue", "catalog"),
            account.arn("glue", f"database/{database}"),
            *(account.arn("glue", f"table/{database}/{table}") for table in where.tables),
        ],
    }


def _log(account: Account, crawler: str) -> list[dict[str, Any]]:
    """Its stream of the crawlers' log group, which the first crawler of an account makes."""
    group = account.arn("logs", f"log-group:{LOG_GROUP}")
    return [
        {
            "Sid": "MakeLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream"],
            # The group's ARN ends in :* for most actions (CloudWatch Logs user guide), and the
            # authorization reference has it without.
            "Resource": [group, f"{group}:*"],
        },
        {
            "Sid": "WriteOwnLog",
            "Effect": "Allow",
            "Action": "logs:PutLogEvents",
            "Resource": f"{group}:log-stream:{crawler}",
        },
    ]


def _key(account: Account, arn: str) -> dict[str, Any]:
    """Decrypting what S3 hands out, and nothing else with the key."""
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    via = f"s3.{account.region}.{suffix}"
    return {
        "Sid": "DecryptOfflineTables",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": arn,
        "Condition": {"StringEquals": {"kms:ViaService": via}},
    }
