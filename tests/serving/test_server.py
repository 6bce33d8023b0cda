"""`t2v serve` from outside: what it answers, what it refuses, and what it never tells."""

import http.client
import io
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from networks import save_stirred
from training_sets import tiny_params

from pipeline.cli.sample import serve
from pipeline.errors import UserError
from pipeline.sampling import VideoModel
from pipeline.serving import ClipRenderer, Server

CAPTION = "pushing a mug from left to right"
HOSTILE = '<script>alert(1)</script>"><img src=x> mug\u202e'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return VideoModel(save_stirred(tmp_path_factory.mktemp("served") / "model", tiny_params()))


def start(renderer, page):
    server = Server("127.0.0.1", 0, renderer, page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def server(model, tmp_path):
    """A running server; its page is not there yet."""
    with start(ClipRenderer(model), tmp_path / "index.html") as running:
        yield running
        running.shutdown()


def ask(server, path, method="GET", **headers):
    """The status, the headers and the body of an answer."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def clips(caption=CAPTION, ending=".npz", **fields):
    return f"/clips{ending}?{urlencode({'caption': caption, **fields})}"


def test_clips_are_those_of_the_model(server, model):
    status, headers, body = ask(server, clips(seed=3, n=2))
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    with np.load(io.BytesIO(body)) as file:
        assert np.array_equal(file["frames"], model.sample(CAPTION, seed=3, n=2))
    status, headers, body = ask(server, clips(ending=".gif"))
    assert (status, headers["Content-Type"], body[:3]) == (200, "image/gif", b"GIF")


def test_the_page_is_served_when_it_is_there_and_its_absence_is_told(server):
    status, _, body = ask(server, "/")
    assert status == 404 and b"<code>dvc repro report</code> creates it" in body
    server.page.write_text("<!doctype html><p>the run</p>")
    assert ask(server, "/")[::2] == (200, b"<!doctype html><p>the run</p>")


def test_what_was_typed_is_shown_as_text(server):
    status, _, body = ask(server, "/generate?" + urlencode({"caption": HOSTILE}))
    page = body.decode()
    assert status == 200
    assert "<script" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    status, _, body = ask(server, "/generate?" + urlencode({"caption": "<b>xylophones</b>"}))
    assert status == 400 and b"<b>" not in body and b"knows none of the words in" in body


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (clips("x" * 2000), 400, "the caption has 2,000 characters; the limit is 1,000"),
        (clips("mug " * 200), 400, "the caption has 200 words"),
        (clips("x" * 100_000), 414, "Request-URI Too Long"),
        (clips(" "), 400, "no caption"),
        (clips("juggling xylophones"), 400, "knows none of the words in"),
        (clips(n=17), 400, "n must be a whole number from 1 to 16"),
        (clips(n="1e9"), 400, "n must be a whole number"),
        (clips(seed=-1), 400, "seed must be a whole number from 0"),
        (clips(steps=1000), 400, "caption, seed, n"),
        (clips() + "&caption=b", 400, "once each"),
        ("/clips.npz?caption=%ff", 400, "UTF-8"),
        (clips(ending=".html"), 404, "clips are available as"),
        ("/../../etc/passwd", 404, "there are /, /generate, "),
    ],
)
def test_a_bad_request_is_answered_in_one_line(server, path, status, said):
    code, headers, body = ask(server, path)
    assert (code, headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert said in body.decode()
    assert body.count(b"\n") == 1 and len(body) < 1500


def test_other_methods_are_refused(server):
    status, headers, body = ask(server, "/generate", method="POST")
    assert (status, body) == (405, b"only GET and HEAD are supported\n")
    assert headers["Allow"] == "GET, HEAD"
    status, headers, body = ask(server, "/generate", method="HEAD")
    assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 100


def test_headers_are_strict_and_no_path_and_no_version_is_told(server, tmp_path):
    for path in ("/", "/generate", clips(), "/nothing"):
        _, headers, body = ask(server, path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert headers["Server"].strip() == "t2v"
        assert str(tmp_path.parent).encode() not in body


def test_broken_word_vectors_are_told_at_the_start_and_not_to_those_who_ask(tmp_path, monkeypatch):
    """The message names a local path."""
    folder = save_stirred(tmp_path / "model", tiny_params())
    model = VideoModel(folder)
    (folder / "vectors.safetensors").write_bytes(b"broken")
    monkeypatch.setattr("pipeline.sampling.VideoModel", lambda *_, **__: model)
    monkeypatch.setattr("pipeline.serving.Server", lambda *_: pytest.fail("it serves"))
    with pytest.raises(UserError, match=f"^{folder}/vectors.safetensors: not a file of word vectors"):
        serve(page=tmp_path)


def test_pages_of_others_cannot_draw_here(server):
    assert ask(server, "/generate", Host="evil.example")[0] == 421
    assert ask(server, "/generate", Host="[")[0] == 400
    assert ask(server, clips(), Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert ask(server, "/generate", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert ask(server, "/generate", Host=f"localhost:{server.server_address[1]}")[0] == 200


def test_fifty_at_once_are_all_answered(server):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda seed: ask(server, clips(seed=seed)), range(50)))
    assert {status for status, _, _ in answers} == {200}
    assert len({body for _, _, body in answers}) == 50


class Slow:
    """A model that draws when it is told to."""

    def __init__(self):
        self.go = threading.Event()

    def encode(self, text):
        return text

    def draw(self, typed, seed, count):  # noqa: ARG002
        assert self.go.wait(30)
        return np.zeros((count, 2, 8, 8, 3), np.uint8)

    def provenance(self, typed):  # noqa: ARG002
        return {}


def test_whoever_comes_to_a_full_queue_or_waits_too_long_is_told_to_come_again(tmp_path):
    slow = Slow()
    with start(ClipRenderer(slow, queue=3, patience=0.5), tmp_path / "none") as server, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, server, clips(seed=seed)) for seed in range(8)]
        refused = [future.result() for _, future in zip(range(7), as_completed(answers), strict=False)]
        slow.go.set()
        drawn = [future.result()[0] for future in answers].count(200)
        server.shutdown()
    assert {status for status, _, _ in refused} == {503} and drawn == 1
    full, late = (
        "too many requests at once; try again in a few seconds",
        "earlier requests took more than 0.5 seconds; try again later",
    )
    assert {body.decode() for _, _, body in refused} == {f"{full}\n", f"{late}\n"}
    assert {headers["Retry-After"] for _, headers, _ in refused} == {"5"}


def test_a_connection_that_says_nothing_ends(server, monkeypatch):
    monkeypatch.setattr("pipeline.serving.LIFETIME", 0.3)
    with socket.create_connection(server.server_address[:2], timeout=20) as idle:
        idle.sendall(b"GET / HT")
        assert idle.recv(100) == b""


def test_a_port_in_use_and_an_address_of_others_are_told(server, model, tmp_path):
    with pytest.raises(UserError, match=r"another program uses this port; choose another --port"):
        Server("127.0.0.1", server.server_address[1], ClipRenderer(model), tmp_path)
    with pytest.raises(UserError, match="not an address of this machine"):
        Server("203.0.113.1", 0, ClipRenderer(model), tmp_path)
    with pytest.raises(UserError, match=r"^--host 'ä\.\.b': not the name of a machine; give an address such as 127"):
        Server("ä..b", 0, ClipRenderer(model), tmp_path)
    with pytest.raises(UserError, match=r"--host is empty; give 127\.0\.0\.1 for this machine"):  # as "$UNSET"
        Server("", 0, ClipRenderer(model), tmp_path)


def test_a_server_that_stops_finishes_the_clips_in_progress_and_begins_no_others(model):
    renderer, begun, drawn = ClipRenderer(model, patience=0.1), threading.Event(), []
    draw = renderer._draw

    def draw_slowly(*given):
        begun.set()
        drawn.append(draw(*given))
        return drawn[0]

    renderer._draw = draw_slowly
    with start(renderer, Path("absent")) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, clips(n=4))
        assert begun.wait(60)
        renderer.close()
        assert len(drawn) == 1
        assert answer.result()[::2] == (200, drawn[0])
        assert ask(server, clips())[0] == 503
        server.shutdown()


def test_browsers_that_ask_for_an_icon_get_no_error(server):
    assert ask(server, "/favicon.ico")[::2] == (204, b"")
