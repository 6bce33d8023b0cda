#!/usr/bin/env bash
# Label Studio lets one write a text for each region of a video's time line. In its JSON export, the text and the region
# share an id. Its CSV and JSON_MIN exports keep neither the id nor the region of a text: two annotations that give the same
# two texts to opposite regions are the same bytes. Nor does any export hold the `framerate` of the labelling configuration
# by which the frames of the regions are counted, whatever the rate of the video is.
#
# Seen on 2026-11-28 with label-studio-sdk 2.1.2, whose converter is Label Studio's own:
#   both annotations: tricks [{ranges 1-24, Run}, {ranges 25-48, Sit}], say ["a dog runs", "a cat sits"] as CSV and JSON_MIN
#
# What this project does: texts of regions are read from JSON; from CSV and JSON_MIN where there is one region, otherwise
# the text is dropped with this reason. Frames are counted by dataset.segments.rate, or by 24 with a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check label-studio-sdk==2.1.2
venv/bin/python - <<'E'
import json
import sys
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter

CONFIG = """<View><Video name="video" value="$video" framerate="30"/>
  <TimelineLabels name="tricks" toName="video"><Label value="Run"/><Label value="Sit"/></TimelineLabels>
  <TextArea name="say" toName="video" perRegion="true"/></View>"""


def describe(region, name, kind, **value):
    return {"id": region, "from_name": name, "to_name": "video", "type": kind, "value": value}


def export(name, first, second):
    spans = {"a": [{"start": 1, "end": 24}], "b": [{"start": 25, "end": 48}]}
    result = [
        describe("a", "tricks", "timelinelabels", ranges=spans["a"], timelinelabels=["Run"]),
        describe("b", "tricks", "timelinelabels", ranges=spans["b"], timelinelabels=["Sit"]),
        describe(first, "say", "textarea", ranges=spans[first], text=["a dog runs"]),
        describe(second, "say", "textarea", ranges=spans[second], text=["a cat sits"]),
    ]
    times = {"created_at": "2026", "updated_at": "2026", "lead_time": 1}
    task = {"id": 1, "data": {"video": "a.mp4"}, "annotations": [{"id": 1, "completed_by": 1, "result": result, **times}]}
    path = Path(f"{name}.json")
    path.write_text(json.dumps([task]))
    converter = Converter(CONFIG, ".", download_resources=False)
    converter.convert_to_csv(str(path), f"{name}-csv", is_dir=False, sep=",")
    converter.convert_to_json_min(str(path), f"{name}-min", is_dir=False)
    return [next(Path(f"{name}-{kind}").iterdir()).read_text() for kind in ("csv", "min")]


print(f"versions: label-studio-sdk {version('label-studio-sdk')}")
print("expected: opposite annotations have different exports")
straight, crossed = export("straight", "a", "b"), export("crossed", "b", "a")
for kind, one, other in zip(("CSV", "JSON_MIN"), straight, crossed, strict=True):
    print(f"seen:     {kind}: {'the same bytes' if one == other else 'different'}")
print("seen:     in JSON_MIN:", json.dumps(json.loads(straight[1])[0]["say"]))
print(f"seen:     the framerate of 30 in the exports: {'30' in ''.join(straight)}")
if straight != crossed or "30" in "".join(straight):
    sys.exit("changed: exports tell which region a text is about, or hold the framerate")
print("as recorded")
E
