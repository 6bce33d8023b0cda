"""Serves a model over HTTP: the page of its run, and clips for free-text captions.

The server has one thread per connection, limits on their number and duration, strict headers, and reveals no local
path. Requests are rendered one at a time, from a bounded queue. The form has no scripts and escapes all input.
"""

import base64
import errno
import hashlib
import html
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline.errors import UserError, first_line
from pipeline.rendering.export import EXPORT_ENDINGS
from pipeline.sampling import TypedCaption, VideoModel, write_clips
from pipeline.video.ffmpeg import FfmpegError

MAX_LETTERS = 1000  # characters of a caption
MAX_CLIPS = 16
LARGEST_SEED = 2**53 - 1  # the largest safe integer in JavaScript
FIELDS = ("caption", "seed", "n")

QUEUE = 64  # requests that wait or are rendered
PATIENCE = 30.0  # seconds that a request waits

SCALE, FPS = 4, 8

CONNECTIONS = 128  # at a time
SILENCE = 10  # seconds without data, after which a connection is closed
LIFETIME = 90.0  # seconds after which any connection is closed
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
LOOPBACK_NAMES = ("localhost", "localhost.localdomain")

MEDIA_TYPES = {".gif": "image/gif", ".png": "image/png", ".mp4": "video/mp4", ".npz": "application/octet-stream"}
TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
form { display: grid; gap: .75rem; grid-template-columns: 1fr 1fr; }
label { display: grid; gap: .25rem; }
label:first-of-type, button { grid-column: 1 / -1; }
input, button { font: inherit; padding: .5rem; }
img { max-width: 100%; image-rendering: pixelated; }
[dir=auto] { overflow-wrap: anywhere; }
"""
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

OWN_POLICY = (
    f"default-src 'none'; img-src 'self'; style-src 'sha256-{STYLE_DIGEST}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# The self-contained page of a run has its own, stricter policy for scripts.
PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; worker-src blob:; "
    "connect-src data: blob:; img-src data: blob:; media-src data: blob:; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A rejected request: the HTTP status, and one line for the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ClipsRequest:
    """A request for clips."""

    caption: str
    seed: int
    count: int


def _parse_request(query: str) -> ClipsRequest:
    """Parse a query with `caption` and optional `seed` and `n`. Raises Refused if it is invalid."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=len(FIELDS), errors="strict")
    except ValueError:  # too many fields, or not UTF-8
        raise Refused(400, f"the query may have {', '.join(FIELDS)}, once each, in UTF-8") from None
    if set(fields) - set(FIELDS) or any(len(values) > 1 for values in fields.values()):
        raise Refused(400, f"the query may have {', '.join(FIELDS)}, once each, and nothing else")
    caption = fields.get("caption", [""])[0]
    if not caption.strip():
        raise Refused(400, "the query has no caption")
    if len(caption) > MAX_LETTERS:
        raise Refused(400, f"the caption has {len(caption):,} characters; the limit is {MAX_LETTERS:,}")
    seed = _parse_number("seed", fields.get("seed", ["0"])[0], 0, LARGEST_SEED)
    return ClipsRequest(caption, seed, _parse_number("n", fields.get("n", ["1"])[0], 1, MAX_CLIPS))


def _parse_number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise Refused(400, f"{name} must be a whole number from {least} to {most:,}")
    return int(text)


class ClipRenderer:
    """Renders clips of a model for concurrent requests, one at a time, with a bounded queue and a timeout.

    `made_by` is added to the provenance of the files: the command that reproduces them, and its code.
    """

    def __init__(
        self,
        model: VideoModel,
        queue: int = QUEUE,
        patience: float = PATIENCE,
        made_by: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._model, self._patience, self._made_by = model, patience, made_by
        self._places, self._turn = threading.BoundedSemaphore(queue), threading.Lock()

    def encode(self, request: ClipsRequest) -> TypedCaption:
        """Encode the caption. Raises Refused if the model knows none of its words."""
        try:
            return self._model.encode(request.caption)
        except UserError as error:
            raise Refused(400, first_line(error)) from None

    def close(self) -> None:
        """Wait until the clips that are being drawn are finished; no others are begun."""
        self._turn.acquire()

    def render(self, request: ClipsRequest, ending: str) -> bytes:
        """The clips as a file with this suffix. Raises Refused if they cannot be rendered, or the queue is full."""
        if ending not in EXPORT_ENDINGS:
            raise Refused(404, f"clips are available as {', '.join(EXPORT_ENDINGS)}")
        typed = self.encode(request)
        if not self._places.acquire(blocking=False):
            raise Refused(503, "too many requests at once; try again in a few seconds")
        try:
            if not self._turn.acquire(timeout=self._patience):
                raise Refused(503, f"earlier requests took more than {self._patience:g} seconds; try again later")
            try:
                return self._draw(request, typed, ending)
            finally:
                self._turn.release()
        except (FfmpegError, OSError):
            raise Refused(500, "the clips could not be written; the server's disk may be full") from None
        except UserError:
            raise Refused(
                500, "the model cannot generate clips; the server's owner can find out why with `t2v sample`"
            ) from None
        finally:
            self._places.release()

    def _draw(self, request: ClipsRequest, typed: TypedCaption, ending: str) -> bytes:
        frames = self._model.draw(typed, request.seed, request.count)
        provenance = {**self._model.provenance(typed), **self._made_by}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"clips{ending}")
            write_clips(path, frames, request.caption, request.seed, scale=SCALE, fps=FPS, provenance=provenance)
            return path.read_bytes()


class Server(ThreadingHTTPServer):
    """Serves the page of a run and clips of its model until it is shut down; `port` 0 selects a free one.

    Raises UserError if it cannot listen on the address.
    """

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, host: str, port: int, renderer: ClipRenderer, page: Path) -> None:
        if not host:  # would listen on all interfaces
            raise UserError("--host is empty; give 127.0.0.1 for this machine only, or 0.0.0.0 for all its networks")
        self.renderer, self.page, self.host = renderer, page, host
        self.is_loopback = _is_loopback(host)
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise UserError(f"{host} port {port}: {_explain(error)}") from None
        except (TypeError, ValueError):  # a name that cannot be encoded, such as ä..b
            raise UserError(f"--host {host!r}: not the name of a machine; give an address such as 127.0.0.1") from None

    @property
    def address(self) -> str:
        """The URL of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or answer that the server is busy."""
        if not self._slots.acquire(blocking=False):
            request.sendall(BUSY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and close it after LIFETIME."""
        end = threading.Timer(LIFETIME, _hang_up, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect early; report all other errors."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers `/`, `/generate` and `/clips.gif|png|mp4|npz`."""

    server: Server
    server_version, sys_version = "t2v", ""
    timeout = SILENCE

    def do_GET(self) -> None:
        """Respond with a page, with clips, or with a line that says why not."""
        try:
            self._check_origin()
            address = urlsplit(self.path)
            if address.path == "/":
                self._answer_page()
            elif address.path == "/generate":
                self._answer_form(address.query)
            elif address.path.startswith("/clips."):
                ending = address.path.removeprefix("/clips")
                clips = self.server.renderer.render(_parse_request(address.query), ending)
                self._answer(200, MEDIA_TYPES[ending], clips)
            elif address.path == "/favicon.ico":  # browsers ask for it, and would log its absence as an error
                self._answer(204, TEXT, b"")
            else:
                raise Refused(404, "there are /, /generate, /clips.gif, /clips.png, /clips.mp4 and /clips.npz")
        except Refused as refused:
            self._answer(refused.status, TEXT, f"{refused}\n".encode())
        except ValueError:  # an invalid URL
            self._answer(400, TEXT, b"the URL is invalid\n")

    do_HEAD = do_GET  # noqa: N815

    def _check_origin(self) -> None:
        """Raise Refused for cross-site requests from other pages, by DNS rebinding or as embedded content."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if self.server.is_loopback and not _is_loopback(host):
            raise Refused(421, "this server only answers requests to this machine's own address; see t2v serve --host")
        if self.headers.get("Sec-Fetch-Site") == "cross-site" and self.headers.get("Sec-Fetch-Mode") != "navigate":
            raise Refused(403, "other sites may link to this server, but not embed it")

    def _answer_page(self) -> None:
        try:
            self._answer(200, HTML, self.server.page.read_bytes(), PAGE_POLICY)
        except OSError:
            self._answer(404, HTML, _build_notice().encode())

    def _answer_form(self, query: str) -> None:
        page = self.server.page.is_file()
        if not query:
            self._answer(200, HTML, _build_form(None, page=page).encode())
            return
        try:
            request = _parse_request(query)
            typed = self.server.renderer.encode(request)
            self._answer(200, HTML, _build_form(request, typed.unknown, page=page).encode())
        except Refused as refused:
            self._answer(refused.status, HTML, _build_form(None, fault=str(refused), page=page).encode())

    def _answer(self, status: int, kind: str, body: bytes, policy: str = OWN_POLICY) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Security-Policy": policy, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "5")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Errors of http.server, as one line; by default it would echo the request."""
        unsupported = code == HTTPStatus.NOT_IMPLEMENTED
        status = HTTPStatus.METHOD_NOT_ALLOWED if unsupported else HTTPStatus(code)
        self.command = self.command or "GET"
        self.request_version = self.request_version or "HTTP/1.0"
        self.close_connection = True
        said = "only GET and HEAD are supported" if unsupported else status.phrase
        self._answer(status, TEXT, f"{said}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing, since captions are private."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:  # already closed
        return


def _explain(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port; choose another --port, or --port 0 for any free one"
    if error.errno == errno.EACCES:
        return "permission denied; choose a --port of 1024 or higher"
    return (
        f"not an address of this machine ({error.strerror}); give --host one, such as 127.0.0.1 for this machine only"
    )


def _build_form(request: ClipsRequest | None, unknown: tuple[str, ...] = (), fault: str = "", page: bool = True) -> str:
    """The form, with the clips of a request, its unknown words, or an error."""
    caption, seed, count = (request.caption, request.seed, request.count) if request else ("", 0, 4)
    parts = [f'<p role="alert" dir="auto">{html.escape(fault)}</p>'] if fault else []
    if request:
        query = html.escape(urlencode({"caption": caption, "seed": seed, "n": count}))
        if unknown:
            parts.append(f'<p dir="auto">The model has never seen: {html.escape(", ".join(unknown))}</p>')
        shown = html.escape(caption, quote=True)
        parts.append(f'<p><img src="/clips.gif?{query}" alt="clips of: {shown}"></p>')
        files = " ".join(f'<a href="/clips{end}?{query}" download>{end[1:]}</a>' for end in (".gif", ".mp4", ".npz"))
        parts.append(f"<p>Save as {files}</p>")
    link = '<p><a href="/">Report of the run</a></p>' if page else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Generate clips</title><style>{STYLE}</style></head>
<body><main><h1>Generate clips</h1>
<form action="/generate" method="get">
<label>Caption <input name="caption" dir="auto" required maxlength="{MAX_LETTERS}"
 value="{html.escape(caption, quote=True)}"></label>
<label>Seed <input name="seed" type="number" min="0" max="{LARGEST_SEED}" value="{seed}"></label>
<label>Clips <input name="n" type="number" min="1" max="{MAX_CLIPS}" value="{count}"></label>
<button>Generate</button>
</form>
{"".join(parts)}
{link}</main></body></html>
"""


def _build_notice() -> str:
    """The page shown for a run without a page."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>No report yet</title><style>{STYLE}</style></head>
<body><main><h1>No report yet</h1><p>This run has no report: <code>dvc repro report</code> creates it.</p>
<p><a href="/generate">Generate clips for a caption</a></p></main></body></html>
"""
