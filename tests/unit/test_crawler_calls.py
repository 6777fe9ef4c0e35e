"""The crawler beside a Glue that answers in its own way, late, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.catalog import Retry
from penstock.config import Settings
from penstock.crawler import crawler
from penstock.crawler.change import Change
from penstock.crawler.definition import definition
from penstock.crawler.place import Account
from penstock.errors import PenstockError, TemporaryError, UsageError

ACCOUNT = Account("123456789012", "eu-west-1")
GLUE = "arn:aws:glue:eu-west-1:123456789012"


def _request(schedule: str = "cron(30 4 * * ? *)") -> dict[str, Any]:
    """What CreateCrawler is asked."""
    catalog = {"crawler": {"enabled": True, "schedule": schedule}}
    values = {"project": "flights", "lake": "s3://bucket", "state": "s", "catalog": catalog}
    return definition(Settings.model_validate(values), "aws", ["one"], ACCOUNT).request


class _Glue:
    """Glue with at most one crawler, and errors that are to come."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        self.errors = list(errors)
        self.calls: list[str] = []
        self.crawler: dict[str, Any] | None = None

    def get_crawler(self, **given: str) -> dict[str, Any]:
        """The crawler as Glue answers it: the role by its name, targets of all kinds."""
        assert given == {"Name": "penstock-flights-aws"}
        if self.crawler is None:
            raise _error("GetCrawler", "EntityNotFoundException", "")
        empty: dict[str, list[Any]] = {"S3Targets": [], "JdbcTargets": [], "CatalogTargets": []}
        return {
            "Crawler": {
                **self.crawler,
                "Role": self.crawler["Role"].rpartition("/")[2],
                "Schedule": {
                    "ScheduleExpression": self.crawler["Schedule"],
                    "State": "TRANSITIONING",
                },
                "Targets": {**empty, **self.crawler["Targets"]},
                "State": "READY",
                "LakeFormationConfiguration": {"UseLakeFormationCredentials": False},
            }
        }

    def get_tags(self, **given: Any) -> dict[str, Any]:
        """Its tags."""
        assert given == {"ResourceArn": f"{GLUE}:crawler/penstock-flights-aws"}
        assert self.crawler is not None
        return {"Tags": self.crawler["Tags"]}

    def create_crawler(self, **given: Any) -> None:
        """Make it, when no more errors are to come."""
        self._fail("CreateCrawler")
        self.crawler = given

    def update_crawler(self, **given: Any) -> None:
        """Change it, when no more errors are to come."""
        self._fail("UpdateCrawler")
        assert self.crawler is not None
        self.crawler |= given

    def delete_crawler(self, **given: str) -> None:
        """Delete it, when no more errors are to come."""
        assert given == {"Name": "penstock-flights-aws"}
        self._fail("DeleteCrawler")
        self.crawler = None

    def _fail(self, operation: str) -> None:
        self.calls.append(operation)
        if self.errors:
            raise _error(operation, *self.errors.pop(0))


def _error(operation: str, code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


UNKNOWN = ("InvalidInputException", "Service is unable to assume provided role. Please verify it")


def test_a_role_that_glue_does_not_know_yet_is_waited_for() -> None:
    """IAM tells all others seconds later; the sleeps are bounded as documented."""
    slept: list[float] = []
    retry = Retry(attempts=9, base_s=1.0, cap_s=10.0, sleep=slept.append, draw=lambda: 1.0)
    assert (retry.attempts, retry.base_s, retry.cap_s) == (
        *(crawler.PATIENCE.attempts, crawler.PATIENCE.base_s, crawler.PATIENCE.cap_s),
    )
    glue = _Glue(UNKNOWN, UNKNOWN)
    crawler.bring(glue, _request(), ACCOUNT, retry)
    assert glue.calls == ["CreateCrawler"] * 3
    assert slept == [1.0, 2.0]
    forever = _Glue(*[UNKNOWN] * 20)
    slept.clear()
    with pytest.raises(TemporaryError, match="unable to assume"):
        crawler.bring(forever, _request(), ACCOUNT, retry)
    assert (len(forever.calls), sum(slept)) == (9, 55.0)


def test_what_glue_answers_beside_the_request_is_no_difference() -> None:
    """A role by name, empty lists of other targets, a schedule that is being set up."""
    glue = _Glue()
    crawler.bring(glue, _request(), ACCOUNT)
    crawler.bring(glue, _request(), ACCOUNT)
    assert glue.calls == ["CreateCrawler"]
    found = crawler.compare(glue, _request(), ACCOUNT)
    assert found == Change("crawler", "penstock-flights-aws", "none")


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("CrawlerRunningException", "Crawler is running", TemporaryError),
        ("InvalidInputException", "Cannot update Crawler while running.", TemporaryError),
        ("SchedulerTransitioningException", "", TemporaryError),
        ("OperationTimeoutException", "", TemporaryError),
        ("InvalidInputException", "Database name is wrong", UsageError),
        ("AccessDeniedException", "no", PenstockError),
    ],
)
@pytest.mark.parametrize("act", ["update", "remove"])
def test_errors_say_whether_to_come_again(
    act: str, code: str, message: str, kind: type[PenstockError]
) -> None:
    """A crawler that runs is changed later; a request that is wrong is never."""
    glue, changed = _Glue(), _request("cron(0 5 * * ? *)")
    crawler.bring(glue, _request(), ACCOUNT)
    glue.errors = [(code, message)]
    calls: dict[str, Callable[[], None]] = {
        "update": lambda: crawler.bring(glue, changed, ACCOUNT),
        "remove": lambda: crawler.remove(glue, "penstock-flights-aws"),
    }
    with pytest.raises(kind, match=code) as caught:
        calls[act]()
    assert caught.value.remedy
    calls[act]()  # once the trouble has passed
