// Decodes the weights of a model: base85, gzip, safetensors. Each weight is a whole number of steps, stored in planes of
// bytes by pipeline/page/weights.py.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

// Base85 -> the tensors by name, { shape, data } with data a Float32Array.
async function readWeights(text) {
  const unpacked = new Blob([decodeBase85(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return parseSafetensors(await new Response(unpacked).arrayBuffer());
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

function parseSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: metadata, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = {};
  for (const [name, exponent] of Object.entries(JSON.parse(metadata.exponents))) {
    const planes = [];
    for (let plane = 0; header[`${plane}.${name}`]; plane++) {
      const [start, end] = header[`${plane}.${name}`].data_offsets;
      planes.push(new Uint8Array(buffer, 8 + length + start, end - start));
    }
    tensors[name] = { shape: header[`0.${name}`].shape, data: readNumbers(planes, 2 ** exponent) };
  }
  return tensors;
}

// Zigzag-encoded numbers of steps -> weights.
function readNumbers(planes, step) {
  const out = new Float32Array(planes[0].length);
  for (let at = 0; at < out.length; at++) {
    let number = 0;
    for (let plane = planes.length - 1; plane >= 0; plane--) number = (number << 8) | planes[plane][at];
    out[at] = step * (number & 1 ? -(number + 1) / 2 : number / 2);
  }
  return out;
}
