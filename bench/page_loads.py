"""How soon a page that is opened from a file is seen, is whole, and draws: in Chromium, and in Firefox.

Chromium is driven by Playwright. Firefox opens a copy of the page with one script more, which posts its times to a
server on this machine. Times are seconds since the browser began to open the page; its own start is not in them.
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
LONGEST = 600.0  # seconds that a page may take
PREFERENCES = ("browser.shell.checkDefaultBrowser", "datareporting.policy.dataSubmissionEnabled")

# Whole: the page is read, every chart is drawn, and every clip in sight is decoded; browsers decode others later.
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
    """Seconds, load by load, until something is seen, all in sight and all charts are, and the first clip is drawn.

    `used` is the CPU time of the whole browser until then; a page without a generator is ready at once.
    """

    painted: list[float]
    whole: list[float]
    ready: list[float]
    used: list[float]

    def add(self, told: dict[str, float], used: float) -> None:
        """Note one more load."""
        self.painted.append(told["painted"])
        self.whole.append(told["whole"])
        self.ready.append(told["ready"])
        self.used.append(used)


def time_chromium(path: Path, browser: Any) -> Loads:
    """How long a page takes to open in a browser of Playwright's."""
    loads = Loads([], [], [], [])
    for _ in range(LOADS):
        used, page = read_browser_time(), browser.new_page()
        page.goto(path.absolute().as_uri(), wait_until="commit")
        told = page.evaluate(f"() => new Promise({WATCH})")
        loads.add(told, read_browser_time() - used)
        page.close()
    return loads


def time_firefox(path: Path, firefox: str) -> Loads:
    """How long a page takes to open in Firefox, in a new profile each time; CPU time includes its start."""
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
    """The page with a script that posts its times, which its policy has to allow."""
    script = (
        f"({WATCH})((told) => fetch('{address}', {{ method: 'POST', mode: 'no-cors', body: JSON.stringify(told) }}))"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"connect-src data: {address}; script-src 'sha256-{digest}' "
    return text.replace("script-src ", policy, 1).replace("</body>", f"<script>{script}</script></body>")


@contextmanager
def _receive() -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """The address of a server that pages post JSON to, and a function that waits for the next."""
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
    """Seconds of CPU time that the threads of the browser have taken."""
    return sum(map(read_time, list_threads()))


def list_threads() -> list[Path]:
    """Of all processes below this one, as Linux has them."""
    processes = psutil.Process().children(recursive=True)
    return [thread for process in processes for thread in Path(f"/proc/{process.pid}/task").glob("*")]


def read_time(thread: Path) -> float:
    """Seconds of CPU time that a thread has taken; none where it has ended."""
    with suppress(OSError):
        return int((thread / "schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    return 0.0
