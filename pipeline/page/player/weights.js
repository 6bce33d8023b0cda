// Decodes the weights of a model: base85, gzip, and whole numbers of steps, as written by pipeline/page/weights.py.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

// Base85 -> the tensors by name, { shape, data } with data a Float32Array.
async function readWeights(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old; the generator needs Chrome or Edge 80, Firefox 113 or Safari 16.4");
  }
  const unpacked = new Blob([decodeBase85(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return parseTensors(new Uint8Array(await new Response(unpacked).arrayBuffer()));
}

// Five digits encode four bytes; n digits at the end encode n - 1.
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

// A line of JSON lists name, shape, exponent of the step and count of lower bits of each tensor. Then follow the highest
// bits of the numbers of all tensors, a byte each, and the lower bits, those of each tensor from a whole byte on.
function parseTensors(bytes) {
  const end = bytes.indexOf(10);
  const described = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)))
    .map(([name, shape, exponent, lower]) => ({ name, shape, exponent, lower, size: shape.reduce((a, b) => a * b, 1) }));
  let high = end + 1;
  let low = described.reduce((sum, { size }) => sum + size, high);
  const tensors = {};
  for (const { name, shape, exponent, lower, size } of described) {
    const takeBits = readBits(bytes, low);
    const data = readNumbers(bytes.subarray(high, high + size), () => takeBits(lower), 2 ** lower, 2 ** exponent);
    tensors[name] = { shape, data };
    high += size;
    low += Math.ceil((size * lower) / 8);
  }
  return tensors;
}

// Takes numbers of up to 24 bits from bytes, the highest bit first.
function readBits(bytes, at) {
  let [held, count] = [0, 0];
  return (bits) => {
    for (; count < bits; count += 8) held = ((held << 8) | bytes[at++]) & 0x7fffffff;
    count -= bits;
    return (held >> count) & ((1 << bits) - 1);
  };
}

// Zigzag-encoded numbers of steps -> weights. `highest` are bytes with the highest bits, in units of `unit`; `takeLow`
// returns the lower bits of the next number.
function readNumbers(highest, takeLow, unit, step) {
  const out = new Float32Array(highest.length);
  for (let at = 0; at < out.length; at++) {
    const number = highest[at] * unit + takeLow();
    out[at] = step * (number & 1 ? -(number + 1) / 2 : number / 2);
  }
  return out;
}
