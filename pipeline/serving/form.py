"""The page on which someone types a caption and sees clips: no script, and all that was typed is shown as text."""

import base64
import hashlib
import html
from urllib.parse import urlencode

from pipeline.serving.requests import LARGEST_SEED, MOST_CLIPS, MOST_LETTERS, ClipsRequest

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


def build_form(request: ClipsRequest | None, unknown: tuple[str, ...] = (), fault: str = "", page: bool = True) -> str:
    """The form, and the clips of a request; words that training never showed, and what is wrong, are told."""
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
    link = '<p><a href="/">The page of the run</a></p>' if page else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Draw clips</title><style>{STYLE}</style></head>
<body><main><h1>Draw clips</h1>
<form action="/draw" method="get">
<label>Caption <input name="caption" dir="auto" required maxlength="{MOST_LETTERS}"
 value="{html.escape(caption, quote=True)}"></label>
<label>Seed <input name="seed" type="number" min="0" max="{LARGEST_SEED}" value="{seed}"></label>
<label>Clips <input name="n" type="number" min="1" max="{MOST_CLIPS}" value="{count}"></label>
<button>Draw</button>
</form>
{"".join(parts)}
{link}</main></body></html>
"""


def build_notice() -> str:
    """What stands in place of the page of a run that has none."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>No page yet</title><style>{STYLE}</style></head>
<body><main><h1>No page yet</h1><p>This run has no page: <code>dvc repro report</code> makes it.</p>
<p><a href="/draw">Draw clips of a caption</a></p></main></body></html>
"""
