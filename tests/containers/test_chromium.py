"""The welcome page in a real browser, on a phone and on a desk, in light and dark."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers.checkout import ROOT, within
from containers.conftest import Stack

pytestmark = pytest.mark.containers

SCREENSHOTS = ROOT / "reports" / "screenshots"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)


class Page:
    """A tab of headless Chromium, driven through a pair of pipes."""

    def __init__(self, profile: Path) -> None:
        read_by_chromium, self.sink = os.pipe()
        self.source, written_by_chromium = os.pipe()
        script = f'exec "$@" 3<&{read_by_chromium} 4>&{written_by_chromium}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "-", "chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_by_chromium, written_by_chromium),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_chromium)
        os.close(written_by_chromium)
        self.answers = os.fdopen(self.source, "rb")
        self.number = 0
        self.session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol; return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.sink, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> bytes:
        data = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "chromium has ended"
            data += byte
        return bytes(data)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.sink)
        self.answers.close()


@pytest.fixture(scope="module")
def page(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not shutil.which("chromium"):
        if os.environ.get("BERTH_REQUIRE_ENGINE") == "1":
            pytest.fail("BERTH_REQUIRE_ENGINE=1, and no `chromium`: type `apt install chromium`")
        pytest.skip("no `chromium`")
    made = Page(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def load(page: Page, stack: Stack, width: int, scheme: str) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.send("Page.navigate", url=stack.url("/"))
    within(
        20, lambda: page.value("document.readyState === 'complete' && !!document.querySelector('.services')"), "loaded"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_welcome_page_fits_and_shows_the_live_state(page: Page, stack: Stack, width: int, scheme: str) -> None:
    load(page, stack, width, scheme)
    # Its script has asked the server at least once.
    within(
        20,
        lambda: page.value("performance.getEntriesByType('resource').some(e => e.initiatorType === 'fetch')"),
        "asked",
    )
    time.sleep(0.3)
    states = page.value(
        "Object.fromEntries([...document.querySelectorAll('.services > div')].map("
        "row => [row.id, [row.className, row.querySelector('.text').textContent.trim()]]))"
    )
    assert {name: state for name, (state, _) in states.items()} == dict.fromkeys(
        ("database", "migrations", "broker", "worker"), "up"
    )
    assert states["database"][1].startswith("PostgreSQL 18")
    assert "default: " in states["broker"][1]
    assert page.value("document.getElementById('summary').textContent.trim()") == "All of them are up."
    links = page.value("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert {"/admin/", "/status/ready/"} <= set(links)
    assert any(link.startswith("https://docs.djangoproject.com/en/") for link in links)
    commands = page.value("[...document.querySelectorAll('pre')].map(e => e.textContent.trim())")
    assert commands == ["./inv manage createsuperuser", "./inv manage startapp NAME", "./inv test"]

    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("window.innerWidth") == width
    colour = page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in colour[4:-1].split(",")) < 384) == (scheme == "dark"), colour
    picture = base64.b64decode(page.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])
    assert picture.startswith(b"\x89PNG")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"welcome-{width}-{scheme}.png").write_bytes(picture)


def test_the_welcome_page_shows_that_a_service_is_gone_and_back(page: Page, stack: Stack) -> None:
    load(page, stack, 1280, "light")
    state = "document.getElementById('broker').className"
    assert page.value(state) == "up"
    try:
        stack.compose("stop", "broker")
        within(20, lambda: page.value(state) == "down", "the page shows that the broker is down")
        assert page.value("document.getElementById('summary').textContent.trim()") == "Not all of them are up."
    finally:
        stack.inv("up")
    within(20, lambda: page.value(state) == "up", "the page shows that the broker is up")
