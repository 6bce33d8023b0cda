#!/usr/bin/env bash
# In an .eaf file of ELAN, the inner borders of a divided annotation are time slots without a TIME_VALUE: ELAN draws the parts
# evenly, the file does not say so. pympi, the common reader, gives None for these times, and its searches by time fail.
#
# Seen on 2026-11-28 with pympi-ling 1.71; three words that divide 0-900 ms:
#   get_annotation_data_for_tier: (0, None, one), (None, None, two), (None, 900, three)
#   get_annotation_data_at_time: TypeError
#
# What this project does: parts between two known times are spread evenly, as ELAN shows them; where a time cannot be found
# the annotation is dropped with this reason.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check pympi-ling==1.71
venv/bin/python - <<'E'
import sys
from importlib.metadata import version
from pathlib import Path

from pympi.Elan import Eaf

SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="EAFv3.0.xsd"'
SLOTS = '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2"/><TIME_SLOT TIME_SLOT_ID="ts3"/>'
SLOTS += '<TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="900"/>'
WORDS = "".join(
    f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{n}" TIME_SLOT_REF2="ts{n + 1}">'
    f"<ANNOTATION_VALUE>{word}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    for n, word in enumerate(("one", "two", "three"), 1)
)
Path("words.eaf").write_text(
    f'<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" {SCHEMA}>'
    f'<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/><TIME_ORDER>{SLOTS}</TIME_ORDER>'
    f'<TIER TIER_ID="words" LINGUISTIC_TYPE_REF="t">{WORDS}</TIER>'
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/></ANNOTATION_DOCUMENT>'
)
print(f"versions: pympi-ling {version('pympi-ling')}")
print("expected: three words of 300 ms each")
eaf = Eaf("words.eaf")
read = eaf.get_annotation_data_for_tier("words")
print("seen:    ", ", ".join(map(str, read)))
try:
    found = str(eaf.get_annotation_data_at_time("words", 450))
except TypeError as error:
    found = f"TypeError: {error}"
print(f"seen:     at 450 ms: {found}")
if read != [(0, None, "one"), (None, None, "two"), (None, 900, "three")] or not found.startswith("TypeError"):
    sys.exit("changed: pympi gives times to slots that have none")
print("as recorded")
E
