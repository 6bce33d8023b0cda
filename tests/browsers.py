"""Pages in headless browsers: Chromium as Playwright drives it, and Firefox, to which a page reports by itself."""

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.page.widgets import POLICY, Widget

CHROMIUM, FIREFOX = shutil.which("chromium"), shutil.which("firefox")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open a page with")
needs_firefox = pytest.mark.skipif(FIREFOX is None, reason="no firefox to open a page with")
LONGEST = 120  # seconds until a page has to have reported


def write_page(player: Widget, path: Path, *, more: str = "", allowed: dict[str, str] | None = None) -> Path:
    """A page that holds a player alone, under as strict a policy as it works with; `more` is a script besides."""
    sources = {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "script-src": "'unsafe-inline'",
    }
    for name, values in [*((name, " ".join(values)) for name, values in POLICY.items()), *(allowed or {}).items()]:
        sources[name] = f"{sources.get(name, '')} {values}"
    policy = "; ".join(f"{name} {values}" for name, values in sources.items())
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Player</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<style>:root {{ --ink: #222; --paper: #fff; --accent: #05a; --muted: #767676 }} {player.style}</style></head>"
        f"<body><main><h1>A run</h1>{player.html}</main>{player.data}"
        f"<script>{player.script}</script><script>{more}</script></body></html>",
        encoding="utf-8",
    )
    return path


@contextmanager
def start_chromium() -> Iterator[Any]:
    """A browser of Playwright's; to start one takes longer than most pages that are looked at in it."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright to drive chromium with")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Any, path: Path, **context: Any) -> Iterator[Any]:
    """A page in a context of its own, which shares nothing with others; it fails the test for every error on it."""
    errors: list[str] = []
    own = browser.new_context(**context)
    try:
        page = own.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(path.as_uri())
        yield page
    finally:
        own.close()
    assert errors == []


def report_from_firefox(path: Path, folder: Path, server: "Reports") -> Any:
    """What a page posts to the server, in a headless Firefox."""
    command = [FIREFOX, "--headless", "--no-remote", "--profile", folder, path.as_uri()]
    (folder / "user.js").write_text('user_pref("browser.shell.checkDefaultBrowser", false);\n', encoding="utf-8")
    firefox = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return server.wait()
    finally:
        firefox.terminate()
        firefox.wait(30)


class Reports:
    """A server on this machine that pages post JSON to."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._value: Any = None
        came = self._take

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                came(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Reports":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> Any:
        assert self._came.wait(LONGEST), "the page has not reported"
        return self._value

    def _take(self, body: bytes) -> None:
        self._value = json.loads(body)
        self._came.set()
