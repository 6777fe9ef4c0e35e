"""What botocore raises as errors of ours: who we are, what we asked, or what may pass."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from penstock.aws import explained
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError

NOT_FOUND = "Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name [g]."


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        ("AccessDeniedException", "no", CredentialsError),
        ("ResourceNotFound", NOT_FOUND, UsageError),
        ("ResourceNotFoundException", "Stream s not found.", UsageError),
        ("EntityNotFoundException", "Database d not found.", UsageError),
        ("ValidationError", "The feature [f] is unknown.", UsageError),
        ("ValidationException", "1 validation error detected", UsageError),
        ("InvalidRequestException", "WorkGroup w is not found.", UsageError),
        ("NoSuchBucket", "The specified bucket does not exist", UsageError),
        # The same codes of what passes.
        ("ValidationError", NOT_FOUND, TemporaryError),
        ("ValidationError", "The FeatureGroup [g] is not in status Created.", TemporaryError),
        ("InvalidInputException", "Service is unable to assume role r", TemporaryError),
        ("InvalidInputException", "Cannot update Crawler while running.", TemporaryError),
        ("ThrottlingException", "Rate exceeded", TemporaryError),
        ("ResourceInUse", "being updated", TemporaryError),
        ("ConflictException", "being updated", TemporaryError),
        ("ResourceLimitExceeded", "four at a time", TemporaryError),
        ("InternalFailure", "try again", TemporaryError),
        ("SomethingNew", "who knows", TemporaryError),
    ],
)
def test_an_error_says_whether_it_may_pass(code: str, said: str, kind: type[PenstockError]) -> None:
    """By its code, and where AWS has one code for both, by its words."""
    found = explained(ClientError({"Error": {"Code": code, "Message": said}}, "GetRecord"))
    assert type(found) is kind
    assert f"GetRecord: {code}: {said}" in found.message
    assert ".. " not in str(found)
