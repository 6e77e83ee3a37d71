"""A browser without a window, by chromedriver's plain HTTP: for what a page does, which its text does not say."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import PATIENCE

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "hide-scrollbars",
)  # fmt: skip


class Browser:
    def __init__(self, address: str, profile: Path) -> None:
        options = {"binary": BROWSER, "args": [*ARGUMENTS, f"user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._address = f"{address}/session"
        answer = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._address += f"/{answer['sessionId']}"

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Returns once the page is ready, with the milliseconds since it was asked for in data-ready."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("POST", "/url", {"url": page.absolute().as_uri()})
        deadline = time.monotonic() + PATIENCE
        while not self.run("return document.documentElement.dataset.ready || null"):
            errors = self.log()
            assert not errors and time.monotonic() < deadline, errors
            time.sleep(0.05)

    def devtools(self, command: str, **params: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, after the page has drawn what it changed."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def drawn(self) -> None:
        script = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        self._ask("POST", "/execute/async", {"script": script, "args": []})

    def mouse(self, kind: str, x: float, y: float, pressed: bool = False) -> None:
        button = {"button": "left", "buttons": int(pressed), "clickCount": 1} if kind != "mouseMoved" or pressed else {}
        self.devtools("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def key(self, name: str) -> None:
        text = {"Enter": "\r", " ": " "}.get(name)
        self.devtools("Input.dispatchKeyEvent", type="keyDown", key=name, **({"text": text} if text else {}))
        self.devtools("Input.dispatchKeyEvent", type="keyUp", key=name)
        self.drawn()

    def log(self) -> list[str]:
        """Errors since the last time."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def picture(self, path: Path, clip: dict[str, float] | None = None) -> None:
        clip = {**clip, "scale": 1} if clip else None
        more = {"clip": clip} if clip else {}
        data = self.devtools("Page.captureScreenshot", captureBeyondViewport=bool(clip), **more)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._ask("DELETE", "")


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """folder: for its profile, and for what the driver has to say."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "chromedriver.log").open("w") as log:
        driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=log, stderr=log)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{address}/status", timeout=PATIENCE).close()
                break
            except OSError:
                assert driver.poll() is None and time.monotonic() < deadline, (folder / "chromedriver.log").read_text()
                time.sleep(0.05)
        session = Browser(address, folder / "profile")
        try:
            yield session
        finally:
            session.close()
    finally:
        driver.terminate()
        driver.wait()
