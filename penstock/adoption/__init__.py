"""Feature groups that exist on AWS, as contracts and conf of a project.

``account`` looks at the groups, ``finding`` decides about one with values, ``contract_text`` and
``conf_text`` are what is written about it, ``files`` writes.
"""

from __future__ import annotations

from penstock.adoption.account import findings
from penstock.adoption.conf_text import Entry
from penstock.adoption.files import texts, write
from penstock.adoption.finding import Adopted, Finding, finding

__all__ = ["Adopted", "Entry", "Finding", "finding", "findings", "texts", "write"]
