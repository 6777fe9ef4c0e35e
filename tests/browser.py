"""A real browser, driven through chromedriver's HTTP interface (W3C WebDriver): no client needed.

Pages are looked at as a reader has them: their console, their requests, the sizes of what is drawn.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL = "apt-get install -y chromium chromium-driver"
_PORT = re.compile(r"successfully on port (\d+)")
_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
)
#: What a page looks like; ``wide``: elements that reach beyond the body, but for those in a box of
#: their own that scrolls.
_LOOK = """
const inner = (one) => one.parentElement && one.parentElement.closest('.scroll');
const box = (one) => one.getBoundingClientRect();
return {
  width: window.innerWidth,
  scroll: document.documentElement.scrollWidth,
  body: document.body.scrollWidth,
  title: document.title,
  text: document.body.innerText,
  scripts: document.scripts.length,
  headings: [...document.querySelectorAll('h1, h2')].map((one) => one.textContent),
  charts: [...document.querySelectorAll('svg')].map((one) => ({
    name: one.querySelector('title').textContent,
    width: box(one).width, height: box(one).height,
    drawn: one.querySelectorAll('rect, path, circle').length,
    letters: [...one.querySelectorAll('text')].map((text) => box(text).height),
  })),
  headless: [...document.querySelectorAll('table')].filter((one) => !one.tHead).length,
  wide: [...document.querySelectorAll('body *')].filter(
    (one) => !inner(one) && box(one).right > window.innerWidth + 1).map((one) => one.outerHTML
    .slice(0, 120)),
};
"""


class BrowserMissingError(Exception):
    """There is no browser here; a proof that needs one fails, it is not skipped."""


@dataclass
class Browser:
    """A session of a browser.

    Args:
        url: Of the session.
    """

    url: str

    def open(self, page: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        """Show a file at a width, as a reader with that colour scheme sees it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", {"features": media})
        self._call("POST", "/url", {"url": "about:blank"})
        self.console(), self.requests()  # of pages before
        self._call("POST", "/url", {"url": page.as_uri()})

    def look(self) -> Any:
        """What is shown; see :data:`_LOOK`."""
        return self._call("POST", "/execute/sync", {"script": _LOOK, "args": []})

    def console(self) -> list[str]:
        """What the console says since it was asked last."""
        found = self._call("POST", "/se/log", {"type": "browser"})
        return [f"{one['level']}: {one['message']}" for one in found]

    def requests(self) -> list[str]:
        """URLs that were asked for since it was asked last."""
        found = self._call("POST", "/se/log", {"type": "performance"})
        events = [json.loads(one["message"])["message"] for one in found]
        sent = [one for one in events if one["method"] == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in sent]

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _asked(method, self.url + path, body)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in a folder.

    Raises:
        BrowserMissingError: There is none; the message says how to install one.
    """
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        message = "this proof needs chromium and chromedriver, and they are not here"
        raise BrowserMissingError(f"{message}. {INSTALL}")
    process = subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := _PORT.search(line)))
        options = {
            "binary": chromium,
            "args": [*_ARGUMENTS, f"--user-data-dir={folder}"],
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        root = f"http://127.0.0.1:{port}/session"
        session = _asked("POST", root, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(f"{root}/{session}")
        finally:
            _asked("DELETE", f"{root}/{session}", None)
    finally:
        process.terminate()
        process.wait()


def _asked(method: str, url: str, body: dict[str, Any] | None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["value"]
