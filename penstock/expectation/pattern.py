r"""Regular expressions and LIKE patterns of Great Expectations, said in Arrow's dialect (RE2).

Great Expectations hands a regex to the engine below it: Python's on pandas, Java's on Spark. RE2
knows neither lookaround nor backreferences, and in return its time is linear in the text. What the
three read alike is translated; what they read apart is refused while the contract is checked. Left
as it is: ``\d``, ``\w`` and ``\b`` are ASCII (as in Java, not in Python), and only ``\n`` ends a
line (as in Python; to Java ``\r``, U+0085, U+2028 and U+2029 do too).
"""

from __future__ import annotations

import re
import warnings

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError

_SPACES = r"\t-\r "  # \s of Java and of ASCII Python; RE2's own lacks U+000B
_NO_SPACES = r"\x00-\x08\x0E-\x1F!-\x{10FFFF}"
_PART = re.compile(
    r"\\[pP](?:\{\^?\w+\}|\w)|\\x[0-9A-Fa-f]{2}|\\.|\[\^?\]?|\(\?[a-zA-Z]+\)|\(\?.|\{\d+(?:,\d*)?\}|.",
    re.DOTALL,
)
_ESCAPES = frozenset("dDwWsSbBAtnrfv")


def regex(pattern: str) -> str:
    """``pattern`` for Arrow's ``match_substring_regex``: found anywhere in the text, as in GX.

    Raises:
        ContractError: It does not compile, or the engines read it differently.
    """
    out: list[str] = []
    inside = False
    for match in _PART.finditer(pattern):
        part = match[0]
        if inside:
            _check_in_class(pattern, part)
            out.append(_escape(pattern, part, inside=True) if part[0] == "\\" else part)
            inside = part != "]"
        else:
            out.append(_outside(pattern, part, pattern[match.end() :], first=match.start() == 0))
            inside = part[0] == "["
    _check_python(pattern)
    return _compiled("".join(out), pattern)


def like(pattern: str, escape: str | None) -> str:
    """A LIKE pattern as a regex over the whole text; case counts, ``_`` is one code point.

    Args:
        pattern: ``%`` any run, ``_`` one character.
        escape: Character that makes the next one literal; None: there is none.

    Raises:
        ContractError: ``escape`` stands last or before an ordinary character.
    """
    out: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == escape:
            following = next(letters, "")
            if not following or following not in f"%_{escape}":
                message = f"LIKE pattern {pattern!r}: the escape stands before neither % nor _"
                raise ContractError(message, "Escape only %, _ and the escape itself")
            out.append(_literal(following))
        else:
            out.append({"%": ".*", "_": "."}.get(letter) or _literal(letter))
    return _compiled(rf"(?s)\A{''.join(out)}\z", pattern)


def _outside(pattern: str, part: str, rest: str, *, first: bool) -> str:
    if part[0] == "\\":
        return _escape(pattern, part, inside=False)
    if part == "$":
        if rest.lstrip(")$")[:1] not in ("", "|"):
            raise _refused(pattern, "a $ before the end", "Put $ last, or before a |")
        return r"(?:\n?\z)"  # Python and Java: also before a last line end
    if part.startswith("[") and part.endswith("]") and len(part) > 1:
        raise _refused(pattern, "a class that begins with ]", r"Write \]")
    if part == "{":
        raise _refused(pattern, "a lone {", r"Write \{")
    if (
        part.startswith("(?")
        and part != "(?:"
        and not (first and re.fullmatch(r"\(\?[is]+\)", part))
    ):
        remedy = "Use (?:…), and (?i) or (?s) at the start; for more, on_fail fail or warn"
        raise _refused(pattern, f"the group {part}", remedy)
    return part


def _check_in_class(pattern: str, part: str) -> None:
    if part[0] == "[":
        raise _refused(pattern, "a [ inside a class", r"Write \[")
    if part == "&":
        raise _refused(pattern, "a & inside a class", r"Write \&")


def _escape(pattern: str, part: str, *, inside: bool) -> str:
    letter = part[1:]
    if letter == "s":
        return _SPACES if inside else f"[{_SPACES}]"
    if letter == "S":
        return _NO_SPACES if inside else f"[^{_SPACES}]"
    if inside and letter in ("b", "B", "A"):
        raise _refused(pattern, f"{part} inside a class", "Write the character itself")
    if letter in _ESCAPES or (letter[0] in "pPx" and len(letter) > 1):
        return part
    if letter.isalnum() or not letter.isascii() or not letter.isprintable():
        raise _refused(pattern, f"the escape {part}", "Escape punctuation only")
    return part


def _check_python(pattern: str) -> None:
    r"""What Python refuses GX refuses too; ``\p`` is the exception, which Java and RE2 know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # set operations, read apart by Java
            re.compile(re.sub(r"\\[pP](\{\^?\w+\}|\w)", "x", pattern))
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise _refused(pattern, "a mistake", str(error)) from error


def _compiled(translated: str, pattern: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), translated)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise _refused(pattern, "what RE2 does not know", str(error)) from error
    return translated


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter


def _refused(pattern: str, what: str, remedy: str) -> ContractError:
    return ContractError(f"pattern {pattern!r} has {what}", remedy)
