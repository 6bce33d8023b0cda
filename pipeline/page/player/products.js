// Sums of products, where nearly all of the time goes: a few instructions of WebAssembly on four numbers at once, or the
// same in JavaScript where a page may not use them.

// What `wat2wasm kernel.wat` makes, in base64.
const KERNEL =
  "AGFzbQEAAAABCgFgBn9/f39/fwADAgEABQMBAAEHFwIGbWVtb3J5AgAKYWNjdW11bGF0ZQAACsgDAcUDAwd/BXsCfyAEQQJsIQsgBEEDbCEMIAVB" +
  "AmwhEiAFQQNsIRMCQANAIANBBEgNAUEAIQYDQCAAIAZqIQogCv0ABAAhDiAKIAVq/QAEACEPIAogEmr9AAQAIRAgCiATav0ABAAhESABIQcgASAE" +
  "aiEIIAIgBmohCQNAIAn9AAQAIQ0gDiANIAf9CQIA/eYB/eQBIQ4gDyANIAcgBGr9CQIA/eYB/eQBIQ8gECANIAcgC2r9CQIA/eYB/eQBIRAgESAN" +
  "IAcgDGr9CQIA/eYB/eQBIREgCSAFaiEJIAdBBGoiByAISQ0ACyAKIA79CwQAIAogBWogD/0LBAAgCiASaiAQ/QsEACAKIBNqIBH9CwQAIAZBEGoi" +
  "BiAFSQ0ACyADQQRrIQMgASAEQQRsaiEBIAAgBUEEbGohAAwACwsCQANAIANFDQFBACEGA0AgACAGaiEKIAr9AAQAIQ4gASEHIAEgBGohCCACIAZq" +
  "IQkDQCAOIAn9AAQAIAf9CQIA/eYB/eQBIQ4gCSAFaiEJIAdBBGoiByAISQ0ACyAKIA79CwQAIAZBEGoiBiAFSQ0ACyADQQFrIQMgASAEaiEBIAAg" +
  "BWohAAwACwsL";

// out[to + r] += x[from + r] @ weight[part] for each of a run's rows r: x has rows of inputs, out of outputs, and weight
// any number of parts [inputs, outputs]. A run is [to, from, part, rows]. Changes and returns `out`.
function addProducts(out, x, weight, runs) {
  const [inputs, outputs] = weight.shape.slice(-2);
  if (kernel && outputs % 4 === 0) return kernel.addProducts(out, x, weight, runs);
  for (const [to, from, part, rows] of runs) {
    for (let row = 0; row < rows; row++) {
      addRow(out, (to + row) * outputs, outputs, x, (from + row) * inputs, inputs, weight.data, part * inputs * outputs);
    }
  }
  return out;
}

// Eight inputs at once: then each output is read and written an eighth as often.
function addRow(out, at, outputs, x, from, inputs, weight, first) {
  let input = 0;
  for (; input + 8 <= inputs; input += 8) {
    const s = from + input;
    const x0 = x[s], x1 = x[s + 1], x2 = x[s + 2], x3 = x[s + 3];
    const x4 = x[s + 4], x5 = x[s + 5], x6 = x[s + 6], x7 = x[s + 7];
    const w0 = first + input * outputs, w1 = w0 + outputs, w2 = w1 + outputs, w3 = w2 + outputs;
    const w4 = w3 + outputs, w5 = w4 + outputs, w6 = w5 + outputs, w7 = w6 + outputs;
    for (let j = 0; j < outputs; j++) {
      out[at + j] +=
        x0 * weight[w0 + j] + x1 * weight[w1 + j] + x2 * weight[w2 + j] + x3 * weight[w3 + j] +
        x4 * weight[w4 + j] + x5 * weight[w5 + j] + x6 * weight[w6 + j] + x7 * weight[w7 + j];
    }
  }
  for (; input < inputs; input++) {
    const value = x[from + input];
    const w = first + input * outputs;
    for (let j = 0; j < outputs; j++) out[at + j] += value * weight[w + j];
  }
}

// The kernel and its memory: each weight is copied there once, maps as they are used.
class Kernel {
  constructor({ memory, accumulate }) {
    Object.assign(this, { memory, accumulate, end: 0, weights: new WeakMap(), scratch: [{ at: 0, length: 0 }, { at: 0, length: 0 }] });
  }

  addProducts(out, x, weight, runs) {
    const [inputs, outputs] = weight.shape.slice(-2).map((side) => 4 * side);
    if (!this.weights.has(weight)) this.weights.set(weight, this.write(this.reserve(weight.data.length), weight.data));
    const first = this.weights.get(weight);
    const at = this.write(this.useScratch(0, out.length), out);
    const source = this.write(this.useScratch(1, x.length), x);
    for (const [to, from, part, rows] of runs) {
      this.accumulate(at + to * outputs, source + from * inputs, first + (part * inputs * outputs) / 4, rows, inputs, outputs);
    }
    out.set(new Float32Array(this.memory.buffer, at, out.length));
    return out;
  }

  // Room for so many numbers -> its place in bytes.
  reserve(length) {
    const at = this.end;
    this.end += Math.ceil(length / 4) * 16;
    const missing = this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  // Room that is used anew each time; where it is too small, it moves.
  useScratch(which, length) {
    const room = this.scratch[which];
    if (room.length < length) Object.assign(room, { at: this.reserve(length), length });
    return room.at;
  }

  write(at, values) {
    new Float32Array(this.memory.buffer, at, values.length).set(values);
    return at;
  }
}

// None where WebAssembly or its instructions on four numbers are missing or forbidden.
function startKernel() {
  try {
    const bytes = Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
    return new Kernel(new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports);
  } catch {
    return null;
  }
}

let kernel = startKernel();
