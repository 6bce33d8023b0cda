// What the networks compute with: a few functions in WebAssembly, on four numbers at once, or in JavaScript where a page may
// not use that. Maps are written into their memory a tile at a time, and results are read from there.

// What `wat2wasm kernel.wat` makes, in base64.
const KERNEL =
  "AGFzbQEAAAABLwRgCX9/f39/f39/fwBgDH9/f39/f39/f39/fwBgB39/f39/f30AYAZ/f39/f38AAwYFAAABAgMFAwEAAQcoBAZtZW1vcnkCAAhwcm9k" +
  "dWN0cwACB3ByZXBhcmUAAwZnYXRoZXIABArxCQWtAwIFfwt7IAH9AAQAIREgAf0ABBAhEiABIAJqIQEgAf0ABAAhEyAB/QAEECEUIAEgAmohASAB/QAE" +
  "ACEVIAH9AAQQIRYgASACaiEBIAH9AAQAIRcgAf0ABBAhGANAIAMgBSgCAGohCSAJIAdqIQogCiAHaiELIAsgB2ohDCAKIQ0DQCAE/QAEACEPIAT9AAQQ" +
  "IRAgCf0JAgAhDiARIA8gDv3mAf3kASERIBIgECAO/eYB/eQBIRIgCv0JAgAhDiATIA8gDv3mAf3kASETIBQgECAO/eYB/eQBIRQgC/0JAgAhDiAVIA8g" +
  "Dv3mAf3kASEVIBYgECAO/eYB/eQBIRYgDP0JAgAhDiAXIA8gDv3mAf3kASEXIBggECAO/eYB/eQBIRggBEEgaiEEIApBBGohCiALQQRqIQsgDEEEaiEM" +
  "IAlBBGoiCSANSQ0ACyAFQQRqIgUgBkkNAAsgACAR/QsEACAAIBL9CwQQIAAgCGohACAAIBP9CwQAIAAgFP0LBBAgACAIaiEAIAAgFf0LBAAgACAW/QsE" +
  "ECAAIAhqIQAgACAX/QsEACAAIBj9CwQQC60CAgV/BnsgAf0ABAAhECABIAJqIQEgAf0ABAAhESABIAJqIQEgAf0ABAAhEiABIAJqIQEgAf0ABAAhEwNA" +
  "IAMgBSgCAGohCSAJIAdqIQogCiAHaiELIAsgB2ohDCAKIQ0DQCAE/QAEACEPIAn9CQIAIQ4gECAPIA795gH95AEhECAK/QkCACEOIBEgDyAO/eYB/eQB" +
  "IREgC/0JAgAhDiASIA8gDv3mAf3kASESIAz9CQIAIQ4gEyAPIA795gH95AEhEyAEQRBqIQQgCkEEaiEKIAtBBGohCyAMQQRqIQwgCUEEaiIJIA1JDQAL" +
  "IAVBBGoiBSAGSQ0ACyAAIBD9CwQAIAAgCGohACAAIBH9CwQAIAAgCGohACAAIBL9CwQAIAAgCGohACAAIBP9CwQAC80BAQd/IAcgBmtBAnYgCmwhEgNA" +
  "QQAhDQNAQQAhDiADIA0gBGxqIQ8gDSAJbCEQIAEgDGogECACbGohESAAIAxqIBAgC2xqIRADQCALIAxrQRBLBEAgECARIAIgDyAFIAYgByAKIAsQAAUg" +
  "ECARIAIgDyAFIAYgByAKIAsQAQsgDyAKQQJ0aiEPIBAgC0ECdGohECARIAJBAnRqIREgDkEEaiIOIAlJDQALIA1BAWoiDSAISQ0ACyAFIBJBA3RqIQUg" +
  "DEEgaiIMIAtJDQALC2sCAX8CeyAG/RMhCQNAQQAhBwNAIAH9AAQAIAQgB2r9AAQA/eYBIAUgB2r9AAQA/eQBIQggACAIIAggCf3mAf3rAf0LBAAgAUEQ" +
  "aiEBIABBEGohACAHQRBqIgcgA0kNAAsgAkEBayICDQALC9UBAgV/BHsDQCABIAQoAgBqIQYgASAEKAIEaiEHIAEgBCgCCGohCCABIAQoAgxqIQkgBf0J" +
  "AgAhCyAF/QkCBCEMIAX9CQIIIQ0gBf0JAgwhDiAGIANqIQoDQCAAIAsgBv0ABAD95gEgDCAH/QAEAP3mAf3kASANIAj9AAQA/eYBIA4gCf0ABAD95gH9" +
  "5AH95AH9CwQAIABBEGohACAHQRBqIQcgCEEQaiEIIAlBEGohCSAGQRBqIgYgCkkNAAsgBEEQaiEEIAVBEGohBSACQQFrIgINAAsL";

const TILE = 2 ** 16; // numbers of a map that are worked on at once: they fit a processor's second cache

const roundUp = (count) => FOUR * Math.ceil(count / FOUR);

// The functions of the kernel and their memory, where rows are filled up to a multiple of four numbers with zeros. Places
// are counted in numbers here, and in bytes there.
class Kernel {
  constructor(functions) {
    Object.assign(this, functions, { end: 0, packed: new WeakMap(), rooms: {} });
  }

  // x [rows, inputs] @ weight [inputs, outputs] + bias -> [rows, outputs].
  multiply(x, weight, bias) {
    const rows = x.length / weight.shape[0];
    return this.convolve({ frames: 1, height: 1, width: rows, data: x }, weight, bias, {});
  }

  // A convolution that keeps the sides; beyond them lie zeros. Before it, x is modulated by { gains, shifts } of each frame
  // and channel, and rectified by a slope below 0; `added` is added to the result.
  convolve(x, weight, bias, { modulation = null, slope = 1, added = null }) {
    const [inputs, outputs] = weight.shape.slice(-2);
    const [long, tall, wide] = weight.shape.length === 5 ? weight.shape : [1, 1, 1];
    const work = { x, inputs, outputs, slope, added, out: new Float32Array(x.frames * x.height * x.width * outputs) };
    Object.assign(work, this.pack(weight, bias), this.writeModulation(modulation, x.frames, inputs));
    if (tall * wide === 1) this.convolveFrames(work, long);
    else if (long === 1) this.convolvePlaces(work, tall, wide);
    else throw new Error("convolutions over both time and space are not supported");
    return work.out;
  }

  // Without neighbours in space. Lines are frames, and a tile is a part of their places.
  convolveFrames(work, long) {
    const { x, inputs } = work;
    const [half, length, all] = [long >> 1, roundUp(inputs), x.height * x.width];
    const most = Math.min(Math.max(Math.floor(TILE / (x.frames * length)), FOUR), all);
    const stride = most * length;
    const at = this.useRoom("x", (x.frames + 2 * half) * stride + FOUR * length);
    this.numbers.fill(0, at, at + half * stride);
    this.numbers.fill(0, at + (x.frames + half) * stride, at + (x.frames + 2 * half) * stride);
    const taps = Array.from({ length: long }, (_, part) => (part - half) * stride);
    for (let first = 0; first < all; first += most) {
      const pixels = Math.min(most, all - first);
      for (let t = 0; t < x.frames; t++) this.writeLine(work, at + (t + half) * stride, t, t * all + first, pixels);
      this.addProducts(work, { at: at + half * stride, stride, taps, lines: x.frames, pixels, first, apart: all });
    }
  }

  // Within each frame, which is a tile: its lines have zeros at their ends, which each shares with the next, and above and below.
  convolvePlaces(work, tall, wide) {
    const { x, inputs } = work;
    const { frames, height, width } = x;
    const [above, before, length] = [tall >> 1, wide >> 1, roundUp(inputs)];
    const stride = (width + before) * length;
    const at = this.useRoom("x", (height + 2 * above) * stride + (2 * before + FOUR) * length);
    this.numbers.fill(0, at, at + (height + 2 * above) * stride + 2 * before * length);
    const start = at + above * stride + before * length;
    const taps = [];
    for (let j = 0; j < tall; j++) for (let k = 0; k < wide; k++) taps.push((j - above) * stride + (k - before) * length);
    for (let t = 0; t < frames; t++) {
      const first = t * height * width;
      for (let h = 0; h < height; h++) this.writeLine(work, start + h * stride, t, first + h * width, width);
      this.addProducts(work, { at: start, stride, taps, lines: height, pixels: width, first, apart: width });
    }
  }

  // Pixels of one frame, modulated and rectified.
  writeLine({ x, inputs, modulated, gains, shifts, slope }, at, frame, first, pixels) {
    this.writeRows(at, x.data, first, pixels, inputs);
    if (!modulated && slope === 1) return;
    const [length, own] = [4 * roundUp(inputs), modulated ? 4 * frame * roundUp(inputs) : 0];
    this.prepare(4 * at, 4 * at, pixels, length, 4 * gains + own, 4 * shifts + own, slope);
  }

  // The lines of a tile into the result: each begins `apart` pixels after the one before it, the first at `first`.
  addProducts({ inputs, outputs, added, out, weights, bias }, { at, stride, taps, lines, pixels, first, apart }) {
    const [length, count] = [roundUp(outputs), lines * pixels + FOUR];
    const result = this.useRoom("out", count * length);
    const parts = apart === pixels ? [[first, 0, lines * pixels]] : [];
    for (let line = 0; line < lines && apart !== pixels; line++) parts.push([first + line * apart, line * pixels, pixels]);
    let start = bias;
    if (added) {
      start = this.useRoom("start", count * length);
      for (const [place, row, rows] of parts) this.writeRows(start + row * length, added, place, rows, outputs);
      this.prepare(4 * start, 4 * start, lines * pixels, 4 * length, 4 * this.writeOnes(length), 4 * bias, 1);
    }
    const [list, ends] = this.writeList("taps", taps);
    const sides = [lines, pixels, 4 * roundUp(inputs), 4 * length];
    this.products(4 * result, 4 * start, added ? 4 * length : 0, 4 * at, 4 * stride, 4 * weights, list, ends, ...sides);
    for (const [place, row, rows] of parts) this.readRows(result + row * length, out, place, rows, outputs);
  }

  // Frame t of the result is frame t of x, or its only one, by moves[t]: its rows by sources, then its columns. Sources are
  // four places and shares for each row of the result.
  resample(x, moves) {
    const { frames, height, width, channels } = x;
    const length = roundUp(channels);
    const [tall, wide] = [moves[0].rows.shares.length / FOUR, moves[0].columns.shares.length / FOUR];
    const [source, lines] = [this.useRoom("x", height * width * length), this.useRoom("start", tall * width * length)];
    const result = this.useRoom("out", tall * wide * length);
    const out = new Float32Array(moves.length * tall * wide * channels);
    moves.forEach(({ rows, columns }, t) => {
      if (t === 0 || frames > 1) this.writeRows(source, x.data, t * height * width, height * width, channels);
      this.gather(4 * lines, 4 * source, tall, 4 * width * length, ...this.writeSources("rows", rows, width * length));
      const across = this.writeSources("columns", columns, length);
      for (let row = 0; row < tall; row++) {
        this.gather(4 * (result + row * wide * length), 4 * (lines + row * width * length), wide, 4 * length, ...across);
      }
      this.readRows(result, out, t * tall * wide, tall * wide, channels);
    });
    return out;
  }

  // Weights in panels of outputs, [panel, tap, input, output], each kept from its first use.
  pack(weight, bias) {
    if (!this.packed.has(weight)) {
      const [inputs, outputs] = weight.shape.slice(-2);
      const [length, filled] = [roundUp(outputs), roundUp(inputs)];
      const taps = weight.data.length / (inputs * outputs);
      const weights = this.reserve(taps * filled * length);
      const own = this.reserve(length);
      const { numbers } = this;
      let at = weights;
      for (let panel = 0; panel < length; panel += PANEL) {
        const [width, known] = [length, outputs].map((end) => Math.min(PANEL, end - panel));
        for (let tap = 0; tap < taps; tap++) {
          for (let input = 0; input < filled; input++, at += width) {
            if (input === inputs) numbers.fill(0, at, at + (filled - inputs) * width);
            const from = (tap * inputs + input) * outputs + panel;
            for (let place = 0; input < inputs && place < width; place++) {
              numbers[at + place] = place < known ? weight.data[from + place] : 0;
            }
          }
        }
      }
      numbers.fill(0, own, own + length);
      if (bias) numbers.set(bias.data, own);
      this.packed.set(weight, { weights, bias: own });
    }
    return this.packed.get(weight);
  }

  writeModulation(modulation, frames, channels) {
    const length = roundUp(channels);
    if (!modulation) return { modulated: false, gains: this.writeOnes(length), shifts: this.useRoom("zeros", length) };
    const [gains, shifts] = ["gains", "shifts"].map((name) => {
      const at = this.useRoom(name, frames * length);
      this.writeRows(at, modulation[name], 0, frames, channels);
      return at;
    });
    return { modulated: true, gains, shifts };
  }

  writeOnes(length) {
    const at = this.useRoom("ones", length);
    this.numbers.fill(1, at, at + length);
    return at;
  }

  // Distances in numbers -> where they lie and end, in bytes.
  writeList(name, distances) {
    const at = this.useRoom(name, distances.length);
    const list = new Int32Array(this.memory.buffer, 4 * at, distances.length);
    for (let place = 0; place < list.length; place++) list[place] = 4 * distances[place];
    return [4 * at, 4 * (at + list.length)];
  }

  writeSources(name, { places, shares }, length) {
    const [list] = this.writeList(name, places.map((place) => place * length));
    const at = this.useRoom(`shares of ${name}`, shares.length);
    this.numbers.set(shares, at);
    return [list, 4 * at];
  }

  writeRows(at, data, first, rows, width) {
    const [numbers, length] = [this.numbers, roundUp(width)];
    if (length === width) return void numbers.set(data.subarray(first * width, (first + rows) * width), at);
    numbers.fill(0, at, at + rows * length);
    for (let row = 0, from = first * width; row < rows; row++) {
      for (let place = 0; place < width; place++, from++) numbers[at + row * length + place] = data[from];
    }
  }

  readRows(at, data, first, rows, width) {
    const [numbers, length] = [this.numbers, roundUp(width)];
    if (length === width) return void data.set(numbers.subarray(at, at + rows * width), first * width);
    for (let row = 0, to = first * width; row < rows; row++) {
      for (let place = 0; place < width; place++, to++) data[to] = numbers[at + row * length + place];
    }
  }

  // Room that is used anew each time; where it is too small, it moves.
  useRoom(name, length) {
    const room = (this.rooms[name] ??= { at: 0, length: 0 });
    if (room.length < length) Object.assign(room, { at: this.reserve(length), length });
    return room.at;
  }

  // Room for so many numbers -> its place.
  reserve(length) {
    const at = this.end;
    this.end += roundUp(length);
    const missing = 4 * this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  // All of the memory, which has another buffer whenever it grew.
  get numbers() {
    if (this.view?.buffer !== this.memory.buffer) this.view = new Float32Array(this.memory.buffer);
    return this.view;
  }
}

// In JavaScript where WebAssembly or its instructions on four numbers are missing or forbidden.
function startKernel() {
  try {
    const bytes = Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
    return new Kernel(new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports);
  } catch {
    return new Kernel(makePlainFunctions());
  }
}

const kernel = startKernel();
