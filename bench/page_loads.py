"""Loading times of a page opened from a file, in Chromium and Firefox: first paint, complete, first clip.

Chromium is driven by Playwright. Firefox opens a copy of the page with an additional script that posts times to a local
server. Times are seconds since the start of navigation, without the start of the browser.
"""

import base64
import hashlib
import http.server
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import UserError

LOADS = 3
LONGEST = 600.0  # timeout of a page, seconds
PREFERENCES = ("browser.shell.checkDefaultBrowser", "datareporting.policy.dataSubmissionEnabled")

# Complete: the page is parsed, all charts are drawn, and all visible clips are decoded; others are decoded lazily.
WATCH = """(done) => {
  const told = {};
  const look = () => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    if (paint) told.painted = paint.startTime / 1000;
    if (document.readyState === "complete") {
      const canvas = document.getElementById("player-canvas");
      const inSight = (one) => one.getBoundingClientRect().top < innerHeight;
      const clips = [...document.querySelectorAll(".strip")].filter(inSight).every((one) => one.complete);
      const charts = [...document.querySelectorAll(".plot")].every((one) => one.querySelector("canvas"));
      if (clips && charts) told.whole ??= performance.now() / 1000;
      if (!canvas || canvas.dataset.drawn) told.ready ??= performance.now() / 1000;
    }
    if (Object.keys(told).length === 3) done(told); else setTimeout(look, 20);
  };
  look();
}"""


@dataclass(frozen=True, slots=True)
class Loads:
    """Seconds per load until the first paint, until visible clips and charts are complete, and until the first clip.

    `used` is the CPU time of the whole browser until then; a page without a generator is ready when complete.
    """

    painted: list[float]
    whole: list[float]
    ready: list[float]
    used: list[float]

    def add(self, told: dict[str, float], used: float) -> None:
        """Add a load."""
        self.painted.append(told["painted"])
        self.whole.append(told["whole"])
        self.ready.append(told["ready"])
        self.used.append(used)


def time_chromium(path: Path, browser: Any) -> Loads:
    """The loading times of a page in a browser of Playwright."""
    loads = Loads([], [], [], [])
    for _ in range(LOADS):
        used, page = read_browser_time(), browser.new_page()
        page.goto(path.absolute().as_uri(), wait_until="commit")
        told = page.evaluate(f"() => new Promise({WATCH})")
        loads.add(told, read_browser_time() - used)
        page.close()
    return loads


def time_firefox(path: Path, firefox: str) -> Loads:
    """The loading times of a page in Firefox, with a new profile each time; CPU time includes the browser's start."""
    loads = Loads([], [], [], [])
    with tempfile.TemporaryDirectory() as scratch, _receive() as (address, take):
        copy = Path(scratch, "page.html")
        copy.write_text(_let_report(path.read_text(encoding="utf-8"), address), encoding="utf-8")
        for number in range(LOADS):
            profile = Path(scratch, f"profile-{number}")
            profile.mkdir()
            text = "".join(f'user_pref("{name}", false);\n' for name in PREFERENCES)
            (profile / "user.js").write_text(text, encoding="utf-8")
            command = [firefox, "--headless", "--no-remote", "--profile", str(profile), copy.as_uri()]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                told = take()
                loads.add(told, read_browser_time())
            finally:
                process.terminate()
                process.wait(30)
    return loads


def _let_report(text: str, address: str) -> str:
    """The page with a script that posts its times, and a policy that allows it."""
    script = (
        f"({WATCH})((told) => fetch('{address}', {{ method: 'POST', mode: 'no-cors', body: JSON.stringify(told) }}))"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"connect-src data: {address}; script-src 'sha256-{digest}' "
    return text.replace("script-src ", policy, 1).replace("</body>", f"<script>{script}</script></body>")


@contextmanager
def _receive() -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Yield the URL of a server that receives JSON from pages, and a function that waits for the next message."""
    came: queue.Queue[dict[str, float]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def take() -> dict[str, float]:
        try:
            return came.get(timeout=LONGEST)
        except queue.Empty:
            raise UserError(f"the page has not reported in {LONGEST:.0f} s") from None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", take
    finally:
        server.shutdown()
        server.server_close()


def read_browser_time() -> float:
    """CPU seconds used by the threads of the browser."""
    return sum(map(read_time, list_threads()))


def list_threads() -> list[Path]:
    """The threads of all descendant processes, in /proc."""
    processes = psutil.Process().children(recursive=True)
    return [thread for process in processes for thread in Path(f"/proc/{process.pid}/task").glob("*")]


def read_time(thread: Path) -> float:
    """CPU seconds used by a thread; 0 if it has ended."""
    with suppress(OSError):
        return int((thread / "schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    return 0.0
