#!/usr/bin/env bash
# hyparquet, a reader of Parquet in JavaScript, gives a value of bytes as a Uint8Array that is a view of the whole page. Its
# `.buffer` is the page: new Uint8Array(value.buffer), new Blob([value.buffer]), a transfer to a worker or a texture made of
# `.buffer` has the header of the page and all other values in it. And keeping one value keeps its page in memory.
#
# Seen on 2026-11-28 with hyparquet 1.33.0, node 20.20.2, pyarrow 26.0.1; two values of 6 bytes in one page:
#   value.length 6, its bytes right; value.byteOffset above 0; value.buffer.byteLength above 12
#   value.slice() has 6 bytes and a buffer of its own
#
# What this project does: docs/reference/shards.md says to take value.slice().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check pyarrow==26.0.1
npm install --silent --no-audit --no-fund hyparquet@1.33.0
venv/bin/python - <<'E'
import pyarrow as pa
import pyarrow.parquet as pq

clips = [bytes([9, 8, 7, 0, 0, 0]), bytes([1, 2, 3, 4, 5, 6])]
table = pa.table({"frames": pa.array(clips, pa.binary(6))})
pq.write_table(table, "clips.parquet", compression="none", use_dictionary=False)
E
cat > read.mjs <<'E'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { readFileSync } from 'fs'

const file = await asyncBufferFromFile('clips.parquet')
const value = (await parquetReadObjects({ file, columns: ['frames'] }))[1].frames
const { version } = JSON.parse(readFileSync('node_modules/hyparquet/package.json'))
console.log(`versions: hyparquet ${version}, node ${process.versions.node}`)
console.log('expected: the second value, 1 2 3 4 5 6, and a buffer with these 6 bytes')
console.log(`seen:     value ${value}; length ${value.length}, offset ${value.byteOffset}, buffer ${value.buffer.byteLength} bytes`)
console.log(`          value.slice(): buffer ${value.slice().buffer.byteLength} bytes`)
if (`${value}` !== '1,2,3,4,5,6' || value.byteOffset === 0 || value.buffer.byteLength <= 12) {
  console.error('changed: a value of hyparquet is no longer a view of its page')
  process.exit(1)
}
console.log('as recorded')
E
node read.mjs
