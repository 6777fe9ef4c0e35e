"""S02, S04 and S05: hostile names, the local server's door, and where the engine may send to."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from penstock import config
from penstock.cli.program import run
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.emulator.server import Emulator
from penstock.errors import ConfigError, ContractError, UsageError
from penstock.ledger.window import window

#: Names that are none: paths, quotes, templates, options, controls, look-alikes.
HOSTILE = [
    "../../etc/passwd", "..", ".", "/", "/etc/passwd", "a/../../b", "a/b", "a\\..\\b", "C:\\x",
    "a\0b", "a\nb", "a\rb", "a\tb", "%2e%2e%2f", "..%2f..", "%00", " ", "", "a b", "a'b", 'a"b',
    "a`b`", "a;DROP TABLE x", "'; DROP TABLE x; --", "$(id)", "`id`", "{{7*7}}", "${HOME}", "~",
    "a-", "_a", "é", "ａ", "🦜", "a" * 65, "a.b", "\u202eabc", "a\u200b", "file:///etc", "*",
    "a|b", "<x>",
]  # fmt: skip
BASE = """project: lab
lake: .penstock/lake
state: .penstock/state
aws: {embedded: true, region: us-east-1}
sources: {}
"""


@pytest.fixture
def project(tmp_path: Path, own_project: None) -> Iterator[Path]:  # noqa: ARG001 - its modules go
    """A project without pipelines, and beside it a place where nothing may appear."""
    root = tmp_path / "inside" / "project"
    for name, text in (("base", BASE), ("local", "")):
        place = root / "conf" / f"{name}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    (root / "schemas").mkdir()
    (root / "schemas" / "__init__.py").write_text("", encoding="utf-8")
    before = _outside(tmp_path, root)
    yield root
    assert _outside(tmp_path, root) == before


def _outside(folder: Path, root: Path) -> list[str]:
    found = (str(one) for one in folder.rglob("*"))
    return sorted(one for one in found if not one.startswith(f"{root}{os.sep}"))


def test_hostile_names_are_as_many_as_they_should_be() -> None:
    """Forty at least, all different."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 40


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_s02_hostile_names_in_contract_and_window(name: str) -> None:
    """No group, feature or bound of a window bears such a name."""
    features = (Feature("id", FeatureType.STRING), Feature("at", FeatureType.STRING))
    calls: list[Callable[[], object]] = [
        lambda: FeatureGroup(name, "id", "at", features),
        lambda: Feature(name, FeatureType.STRING),
        lambda: window(name, "2024-01-01"),
        lambda: window("2024-01-01", name),
    ]
    for call in calls:
        with pytest.raises((ContractError, UsageError)) as caught:
            call()
        assert caught.value.exit_code == 2


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("key", ["project", "catalog.database", "groups.g.table"])
def test_s02_hostile_names_in_configuration(project: Path, key: str) -> None:
    """Names that become folders, databases or tables are refused: exit 2."""
    for name in set(HOSTILE) - {"_a", "a" * 65}:  # both fine for a database
        with pytest.raises(ConfigError) as caught:
            config.load(project / "conf", "local", {key: name})
        assert caught.value.exit_code == 2


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    "command", [["ingest"], ["get", "{}", "1"], ["query", "latest"], ["provision"]],
    ids=lambda one: one[0],
)  # fmt: skip
def test_s02_hostile_names_on_the_command_line(
    project: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A group of such a name: exit 2 in one line, and nothing is written outside the project."""
    for name in HOSTILE:
        words = [name if one == "{}" else one for one in command]
        words += [] if "{}" in command else [name]
        assert run([*words, "--project", str(project)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err


@pytest.mark.shows("4.3")
def test_s02_hostile_names_in_urls_of_the_local_server(emulator: Emulator, tmp_path: Path) -> None:
    """As path segments, encoded or not, they are answered 4xx; nothing outside its folder."""
    before = _outside(tmp_path, tmp_path / "aws")
    for name in HOSTILE:
        for segment in {quote(name, safe=""), quote(name, safe="/.\\'`$*|<>{};")}:
            path = f"/FeatureGroup/{segment}?RecordIdentifierValueAsString=1"
            assert 400 <= _signed(emulator, "GET", path).status < 500
    assert _outside(tmp_path, tmp_path / "aws") == before


def _signed(
    emulator: Emulator, method: str, path: str, body: bytes = b"", **headers: str
) -> http.client.HTTPResponse:
    """A request signed with the emulator's key, with further headers laid over."""
    url = f"{emulator.url}{path}"
    unsigned = AWSRequest(method, url, {}, body)
    keys = Credentials(emulator.access_key, emulator.secret_key)
    SigV4Auth(keys, "sagemaker", emulator.region).add_auth(unsigned)
    signed = {"Host": urlsplit(url).netloc, **dict(unsigned.headers.items()), **headers}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for key, value in (signed | {"Content-Length": str(len(body))}).items():
        connection.putheader(key, value)
    connection.endheaders(body)
    return connection.getresponse()


@pytest.mark.shows("4.3")
def test_s04_local_server_hardening(emulator: Emulator) -> None:
    """Another Host: 403. No or a wrong signature: 403. A body too large: 413. No CORS. Loopback."""
    fine = "/FeatureGroup/none?RecordIdentifierValueAsString=1"
    assert _signed(emulator, "GET", fine).status == 404
    assert _signed(emulator, "GET", fine, Host="evil.example").status == 403
    assert _signed(emulator, "GET", fine, Authorization="AWS4-HMAC-SHA256 none").status == 403
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=5)
    connection.request("GET", fine)
    assert connection.getresponse().status == 403
    large = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=5)
    large.putrequest("POST", "/BatchWriteRecord")
    large.putheader("Content-Length", str(10 * 2**30))
    large.endheaders(b"{")
    assert large.getresponse().status == 413
    answer = _signed(emulator, "OPTIONS", "/", Origin="http://evil.example")
    assert answer.status >= 400
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    port = urlsplit(emulator.url).port or 0
    for address in {"127.0.0.2", _own_address()}:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((address, port), timeout=2)


def _own_address() -> str:
    """An address of this machine that is not loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.3"
        return str(probe.getsockname()[0])


@pytest.mark.shows("4.3")
def test_s04_slow_requests_starve_nobody(emulator: Emulator) -> None:
    """Two hundred requests that never end, in head or body: another client is served at once."""
    port = urlsplit(emulator.url).port or 0
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for n, one in enumerate(slow):
            head = b"PUT /FeatureGroup/g HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
            one.sendall(head + b"{" if n % 2 else head[:20])
        client = boto3.client(
            "sagemaker",
            region_name=emulator.region,
            endpoint_url=emulator.url,
            aws_access_key_id=emulator.access_key,
            aws_secret_access_key=emulator.secret_key,
        )
        began = time.monotonic()
        assert client.list_feature_groups()["FeatureGroupSummaries"] == []
        assert time.monotonic() - began < 2.0
    finally:
        for one in slow:
            one.close()


FORBIDDEN = [
    "http://169.254.169.254", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd",
    "http://127.0.0.1@evil.example", "http://127.0.0.1:80@evil.example", "https://evil.example",
    "http://runtime.sagemaker.us-east-1.amazonaws.com", "https://amazonaws.com.evil.example",
    "https://evilamazonaws.com", "https://x.amazonaws.com@evil.example", "ftp://127.0.0.1",
    "http://127.0.0.1.evil.example", "http://[::ffff:169.254.169.254]", "http://2130706433.evil",
    "gopher://127.0.0.1", "//127.0.0.1", "127.0.0.1:80", "", " ", "http://", "https://10.0.0.1",
    "http://localhost.evil.example", "https://user:password@x.amazonaws.com", "javascript:alert(1)",
]  # fmt: skip
ALLOWED = [
    "http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566", "https://127.0.0.1",
    "https://featurestore-runtime.sagemaker.us-east-1.amazonaws.com",
    "https://vpce-1-2.featurestore-runtime.sagemaker.us-east-1.vpce.amazonaws.com",
    "https://featurestore-runtime.sagemaker.cn-north-1.amazonaws.com.cn",
]  # fmt: skip


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("url", FORBIDDEN, ids=ascii)
def test_s05_endpoint_allow_list(
    project: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records and signatures go to AWS over TLS or to this machine: anything else is exit 2."""
    with pytest.raises(ConfigError, match=r"aws\.endpoint_url"):
        config.load(project / "conf", "local", {"aws.endpoint_url": url})
    words = ["status", "--project", str(project), "--set", f"aws.endpoint_url={url}"]
    if url.strip():  # on a command line nothing means unset
        assert run(words) == 2
    assert "password" not in capsys.readouterr().err


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("url", ALLOWED)
def test_s05_aws_and_this_machine_are_allowed(project: Path, url: str) -> None:
    """AWS's own names, VPC endpoints and loopback."""
    found = config.load(project / "conf", "local", {"aws.endpoint_url": url})
    assert found.aws.endpoint_url == url
