"""What a job's role may do, and who may take it: IAM documents, and nothing is sent.

From AWS's Service Authorization Reference and the guides' runtime roles for EMR Serverless, EMR and
Glue. What runs of the project need anywhere, reading what is shipped, its own logs. Not verified on
AWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.deploy.runtime import Target
from penstock.rights import Right, listings, objects, rights

_VERSION = "2012-10-17"  # of the policy language
_SERVICES: dict[Target, str] = {
    "emr-serverless": "emr-serverless.amazonaws.com",
    "emr": "ec2.amazonaws.com",
    "glue": "glue.amazonaws.com",
}
_LOGS = "/aws-glue/jobs"  # Glue's own groups: output, error, logs-v2


def trust(target: Target) -> dict[str, Any]:
    """The service that runs the jobs, and nobody else, takes the role."""
    principal = {"Service": _SERVICES[target]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": _VERSION, "Statement": [statement]}


def permissions(
    settings: Settings,
    groups: Sequence[str],
    account: Account,
    target: Target,
    location: str,
    *,
    tables: Sequence[str] = (),
    log_group: str | None = None,
) -> dict[str, Any]:
    """All that jobs of the project need, and no more.

    Args:
        settings: The configuration.
        groups: Feature groups of the project.
        account: Where the jobs run.
        target: What runs them.
        location: ``s3://BUCKET/FOLDER`` of what is shipped.
        tables: Where Glue tables that sources read lie.
        log_group: CloudWatch's, that EMR Serverless writes to; None where it writes to S3 alone.
    """
    why = "what is shipped"
    # Spark asks for the database whenever a session with Glue's catalogue begins, and makes it.
    default = (account.arn("glue", "catalog"), account.arn("glue", "database/default"))
    found = [
        objects(account, "ReadShipped", why, [f"{location}/artefacts"], ("GetObject",)),
        *listings(account, "ListShipped", why, [location]),
        *rights(settings, groups, account, tables),
        Right("DefaultDatabase", "Spark", "glue", ("CreateDatabase", "GetDatabase"), default),
        *_logs(account, target, location, log_group),
    ]
    return {"Version": _VERSION, "Statement": [one.statement() for one in found]}


def _logs(account: Account, target: Target, location: str, log_group: str | None) -> list[Right]:
    """EMR writes to S3; Glue to its log groups, which the first job of an account makes.

    EMR Serverless writes to CloudWatch as well where it is asked to, and lists groups for it (its
    guide, logging with CloudWatch).
    """
    made = ("CreateLogGroup", "CreateLogStream", "PutLogEvents")
    if target == "glue":
        group = account.arn("logs", f"log-group:{_LOGS}/*")
        return [Right("WriteLogs", "logs", "logs", made, (group, f"{group}:*"))]
    actions = ("PutObject", "GetObject")
    found = [objects(account, "WriteLogs", "logs", [f"{location}/logs"], actions)]
    if target == "emr-serverless" and log_group is not None:
        group, groups = (account.arn("logs", f"log-group:{one}") for one in (log_group, "*"))
        writing = (*made, "DescribeLogStreams")
        found += [
            Right("WriteMetrics", "metrics", "logs", writing, (group, f"{group}:*")),
            Right("FindLogGroup", "metrics", "logs", ("DescribeLogGroups",), (groups,)),
        ]
    return found
