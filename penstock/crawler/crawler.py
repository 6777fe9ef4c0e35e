"""The crawler itself brought in line with its definition, and taken away again.

What is there is read first, so a second apply writes nothing. A crawler without our tag is left
alone. Tables it has made stay when it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.catalog import Retry
from penstock.crawler.change import UNKNOWN_ROLE, Change, explained, not_ours
from penstock.crawler.place import Account
from penstock.leaves import differences, parsed
from penstock.roles import TAG

_ABSENT = "EntityNotFoundException"
#: What a request says and an answer says alike. Others (Lake Formation, lineage) are the account's.
_COMPARED = (
    "Role",
    "DatabaseName",
    "Description",
    "Targets",
    "Schedule",
    "Classifiers",
    "TablePrefix",
    "SchemaChangePolicy",
    "RecrawlPolicy",
    "Configuration",
)
_PAUSED = "NOT_SCHEDULED"  # Glue API model, ScheduleState
#: How often a role that was just made is shown to Glue: it is not known everywhere at once, and
#: takes seconds (Terraform's provider waits up to minutes). All sleeps together last at most 55 s.
PATIENCE = Retry(attempts=9, base_s=1.0, cap_s=10.0)


def compare(glue: Any, wanted: Mapping[str, Any], account: Account) -> Change:
    """What :func:`bring` would do; nothing is written.

    Args:
        glue: A Glue client.
        wanted: The parameters of CreateCrawler.
        account: Where the crawler is.

    Raises:
        UsageError: A crawler of that name was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    name = wanted["Name"]
    there = _get(glue, name)
    if there is None:
        return Change("crawler", name, "create")
    _check_ours(glue, name, wanted["Tags"][TAG], account)
    found = tuple(differences(_shape(there), _shape(wanted)))
    return Change("crawler", name, "update" if found else "none", found)


def bring(glue: Any, wanted: Mapping[str, Any], account: Account, retry: Retry = PATIENCE) -> None:
    """Create the crawler, or make it what is wanted; one whose schedule is paused goes on.

    Idempotent: what is as wanted is not written.

    Args:
        glue: A Glue client.
        wanted: The parameters of CreateCrawler.
        account: Where the crawler is.
        retry: How long a role that is not known yet is waited for.

    Raises:
        UsageError: As :func:`compare`, or AWS refused the request as it stands.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, the crawler runs, or somebody else made it meanwhile.
    """
    found, name = compare(glue, wanted, account), wanted["Name"]
    try:
        if found.action == "create":
            _patient(lambda: glue.create_crawler(**wanted), retry)
        elif found.action == "update":
            _update(glue, wanted, retry)
    except ClientError as error:
        raise explained(error, f"crawler {name!r}") from error


def removable(glue: Any, name: str, owner: str, account: Account) -> bool:
    """Whether there is a crawler of ours of that name to delete.

    Raises:
        UsageError: It was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    if _get(glue, name) is None:
        return False
    _check_ours(glue, name, owner, account)
    return True


def remove(glue: Any, name: str) -> None:
    """Delete the crawler; one that is gone already is no error.

    Raises:
        UsageError: AWS refused it.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or the crawler runs.
    """
    try:
        glue.delete_crawler(Name=name)
    except ClientError as error:
        if aws.code(error) != _ABSENT:
            raise explained(error, f"crawler {name!r}") from error


def _update(glue: Any, wanted: Mapping[str, Any], retry: Retry) -> None:
    name = wanted["Name"]
    there, after = _shape(_get(glue, name) or {}), _shape(wanted)
    paused = there.pop("ScheduleState", None) == _PAUSED
    if there != after:
        request = {key: value for key, value in wanted.items() if key != "Tags"}
        _patient(lambda: glue.update_crawler(**request), retry)
    if paused:
        glue.start_crawler_schedule(CrawlerName=name)


def _patient(call: Callable[[], Any], retry: Retry) -> None:
    """Call again while Glue does not know the role yet."""
    for n in range(retry.attempts):
        try:
            call()
        except ClientError as error:
            said = error.response["Error"].get("Message", "")
            if UNKNOWN_ROLE not in said or n + 1 == retry.attempts:
                raise
            retry.sleep(retry.delay(n))
        else:
            return


def _get(glue: Any, name: str) -> dict[str, Any] | None:
    try:
        return dict(glue.get_crawler(Name=name)["Crawler"])
    except ClientError as error:
        if aws.code(error) == _ABSENT:
            return None
        raise explained(error, f"crawler {name!r}") from error


def _check_ours(glue: Any, name: str, owner: str, account: Account) -> None:
    try:
        tags = glue.get_tags(ResourceArn=account.arn("glue", f"crawler/{name}")).get("Tags", {})
    except ClientError as error:
        raise explained(error, f"crawler {name!r}") from error
    if tags.get(TAG) != owner:
        raise not_ours("crawler", name)


def _shape(given: Mapping[str, Any]) -> dict[str, Any]:
    """A request or an answer in one shape.

    Glue answers a role by name or by ARN, a schedule with its state, and lists of all kinds of
    targets, most of them empty.
    """
    found = {key: given[key] for key in _COMPARED if key in given}
    if "Role" in found:
        found["Role"] = found["Role"].rpartition("/")[2]
    if "Configuration" in found:
        found["Configuration"] = parsed(found["Configuration"])
    schedule = found.get("Schedule")
    if isinstance(schedule, Mapping):
        found["Schedule"] = schedule.get("ScheduleExpression")
        if schedule.get("State") == _PAUSED:
            found["ScheduleState"] = _PAUSED
    return {key: _full(value) for key, value in found.items() if not _is_empty(_full(value))}


def _full(value: Any) -> Any:
    """Without members that say nothing."""
    if isinstance(value, Mapping):
        below = {key: _full(one) for key, one in value.items()}
        return {key: one for key, one in below.items() if not _is_empty(one)}
    return [_full(one) for one in value] if isinstance(value, list) else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and not value)
