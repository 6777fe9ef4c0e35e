"""The reader of answers: whole ones in any pieces, nothing else, and bounded."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.online import responses
from penstock.online.responses import NotHttp, Reader, Response

HEAD = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: 1\r\n"


def chunked(pieces: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    """A chunked body."""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension, one) for one in pieces)
    return body + b"0\r\n" + trailer + b"\r\n"


PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=6)
FRAMED = st.one_of(
    st.binary(max_size=200).map(lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body), body)),
    st.builds(
        lambda pieces, extension, trailer: (
            b"transfer-encoding: CHUNKED\r\n\r\n" + chunked(pieces, extension, trailer)
        ),
        PIECES,
        st.sampled_from([b"", b";a", b' ; a="b"']),
        st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ: w\r\n"]),
    ),
)


class _Socket:
    """What http.client wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        """The bytes."""
        return io.BytesIO(self._data)


def reference(data: bytes) -> tuple[int, bytes]:
    """What the standard library reads."""
    response = http.client.HTTPResponse(_Socket(data))  # type: ignore[arg-type]  # enough of one
    response.begin()
    return response.status, response.read()


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMED, min_size=1, max_size=3), st.lists(st.integers(1, 60), min_size=1))
def test_answers_are_the_same_in_any_pieces(bodies: list[bytes], sizes: list[int]) -> None:
    """One after the other on one connection, cut anywhere: what the standard library reads."""
    reader = Reader()
    for body in bodies:
        data = HEAD + body
        found: Response | None = None
        place = turn = 0
        while place < len(data):
            assert found is None
            size = sizes[turn % len(sizes)]
            found = reader.feed(data[place : place + size])
            place, turn = place + size, turn + 1
        assert found is not None
        assert (found.status, found.body) == reference(data)
        assert found.keep
        assert found.headers["x-amzn-requestid"] == "1"


@settings(max_examples=300, deadline=None)
@given(FRAMED, st.data())
def test_a_part_of_an_answer_is_none(body: bytes, data: st.DataObject) -> None:
    """Cut off anywhere, nothing comes out, and the end says so."""
    whole = HEAD + body
    reader = Reader()
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert reader.feed(part) is None
    with pytest.raises(NotHttp, match="closed"):
        reader.finish()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_noise_ends_in_an_answer_or_is_refused(noise: bytes) -> None:
    """No other exception, whatever comes, alone or as headers or chunks."""
    for begin in (b"", HEAD, HEAD + b"transfer-encoding: chunked\r\n\r\n"):
        reader = Reader()
        try:
            found = reader.feed(begin + noise)
        except NotHttp:
            continue
        assert found is None or found.status >= 200


REFUSED = {
    "not HTTP": b"SSH-2.0-x\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "no number": b"HTTP/1.1 2xx OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\ncontent-length: 2\r\n\r\n..",
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "length in words": HEAD + b"Content-Length: two\r\n\r\n",
    "huge length": HEAD + b"Content-Length: 99999999999\r\n\r\n",
    "unknown coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "signed chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n",
    "hexadecimal prefix": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
    "huge chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    "longer chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n\r\n",
    "endless size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
    "endless headers": HEAD + b"x" * 70_000,
    "endless trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x" * 70_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_misread_is_refused(name: str) -> None:
    """Bounds on everything, and no reading that another reader might not share."""
    with pytest.raises(NotHttp):
        Reader().feed(REFUSED[name])


def test_a_length_beside_chunks_does_not_count() -> None:
    """RFC 9112 §6.3: the transfer encoding wins."""
    raw = (
        HEAD
        + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked([b"abcd"], b"", b"")
    )
    found = Reader().feed(raw)
    assert found is not None
    assert found.body == b"abcd"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Connection: Close\r\nContent-Length: 0\r\n\r\n",
        HEAD.replace(b"1.1", b"1.0") + b"Content-Length: 0\r\n\r\n",
        HEAD + b"Content-Length: 0\r\n\r\nHTTP/1.1 200",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
    ],
)
def test_a_connection_that_ends_or_says_more_is_not_kept(raw: bytes) -> None:
    """Close, an older protocol, or bytes nobody asked for."""
    found = Reader().feed(raw)
    assert found is not None
    assert not found.keep


def test_a_body_without_length_ends_with_the_connection() -> None:
    """And only then; the connection is not kept."""
    reader = Reader()
    assert reader.feed(HEAD + b"\r\n{") is None
    assert reader.feed(b"}") is None
    found = reader.finish()
    assert (found.body, found.keep) == (b"{}", False)


def test_a_body_without_end_is_cut_off() -> None:
    """More than the bound is refused, however it comes."""
    reader = Reader()
    reader.feed(HEAD + b"\r\n")
    piece = b"x" * (1 << 22)
    for _ in range(responses.MAX_BODY // len(piece)):
        reader.feed(piece)
    with pytest.raises(NotHttp, match="does not end"):
        reader.feed(piece)


def test_headers_are_found_by_name_and_counted_once() -> None:
    """A mapping: letter case does not matter, the first of two counts, others are absent."""
    found = Reader().feed(HEAD + b"A: 1\r\nb:2\r\na:  3 \r\nContent-Length: 0\r\n\r\n")
    assert found is not None
    headers = found.headers
    assert (headers["a"], headers["B"], headers.get("c"), "A" in headers) == ("1", "2", None, True)
    assert list(headers) == ["X-Amzn-RequestId", "A", "b", "a", "Content-Length"]
    assert len(headers) == 5
