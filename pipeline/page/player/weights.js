// The weights of a model: safetensors, gzip, base85. Each tensor is planes of bytes, as pipeline/page/player.py lays
// them: two of a float16, or the upper three of a float32.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

// Base85 -> the tensors by name, { shape, data } with data a Float32Array.
async function readWeights(text) {
  const unpacked = new Blob([decodeBase85(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return parseSafetensors(await new Response(unpacked).arrayBuffer());
}

// Each five digits are four bytes; fewer at the end are one byte less.
function decodeBase85(text) {
  const values = new Uint8Array(128);
  [...DIGITS].forEach((digit, value) => (values[digit.charCodeAt(0)] = value));
  const bytes = new DataView(new ArrayBuffer(Math.ceil(text.length / 5) * 4));
  for (let at = 0, to = 0; at < text.length; at += 5, to += 4) {
    let number = 0;
    for (let digit = 0; digit < 5; digit++) {
      number = number * 85 + (at + digit < text.length ? values[text.charCodeAt(at + digit)] : 84);
    }
    bytes.setUint32(to, number);
  }
  return new Uint8Array(bytes.buffer, 0, Math.floor((text.length * 4) / 5));
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
