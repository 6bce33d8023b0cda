// The weights of a model: safetensors, gzip, base64, all by what browsers have built in. Each tensor is planes of bytes,
// as pipeline/page/weights.py lays them: two of a float16, or the upper three of a float32.

// Base64 -> the tensors by name, { shape, data } with data a Float32Array.
async function readWeights(text) {
  const unpacked = (await openBase64(text)).pipeThrough(new DecompressionStream("gzip"));
  return parseSafetensors(await new Response(unpacked).arrayBuffer());
}

// A stream of bytes. Browsers before 2025 decode base64 fastest as an address.
async function openBase64(text) {
  if (Uint8Array.fromBase64) return new Blob([Uint8Array.fromBase64(text)]).stream();
  return (await fetch(`data:application/octet-stream;base64,${text}`)).body;
}

function parseSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const halves = listHalves();
  const tensors = {};
  for (const [name, { shape, data_offsets: ends }] of Object.entries(header)) {
    const [planes, ...sides] = shape;
    const bytes = new Uint8Array(buffer, 8 + length + ends[0], ends[1] - ends[0]);
    tensors[name] = { shape: sides, data: planes === 2 ? readHalves(bytes, halves) : readSingles(bytes) };
  }
  return tensors;
}

function readHalves(bytes, halves) {
  const out = new Float32Array(bytes.length / 2);
  for (let at = 0; at < out.length; at++) out[at] = halves[bytes[at] | (bytes[at + out.length] << 8)];
  return out;
}

function readSingles(bytes) {
  const count = bytes.length / 3;
  const bits = new Uint32Array(count);
  for (let at = 0; at < count; at++) {
    bits[at] = (bytes[at] << 8) | (bytes[at + count] << 16) | (bytes[at + 2 * count] << 24);
  }
  return new Float32Array(bits.buffer);
}

// All values of 16 bits as numbers, by their bits.
function listHalves() {
  return new Float32Array(2 ** 16).map((_, bits) => {
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (fraction / 1024) * 2 ** -14;
    return bits >> 15 ? -size : size;
  });
}
