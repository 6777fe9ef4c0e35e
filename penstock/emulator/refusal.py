"""What the embedded AWS answers when it does not do what was asked: an AWS error code and a text.

The HTTP status comes from the service model where the model has the code, else from the refusal.
Texts recorded from the service are used where the facts have them; the others are our own words.
"""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is an answer, not a defect
    """An error answer of AWS.

    Args:
        code: AWS error code, for example ``ValidationError``.
        message: Text of the answer.
        status: HTTP status where the service model does not say it.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status


def group_not_found(code: str, name: str) -> Refusal:
    """The recorded text for a feature group that is not there; codes differ by operation."""
    text = f"Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name [{name}]."
    return Refusal(code, text)
