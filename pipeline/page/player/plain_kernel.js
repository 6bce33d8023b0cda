// The functions of kernel.wat in JavaScript, for a page that may not use WebAssembly or its instructions on four numbers.

const FOUR = 4; // numbers, pixels, rows: what the kernel takes at once. It may touch so many pixels beyond the last one
const PANEL = 2 * FOUR; // outputs
const PAGE = 65536; // bytes, by which the memory of WebAssembly grows

function makePlainFunctions() {
  const memory = { buffer: new ArrayBuffer(PAGE), grow(pages) {
    const larger = new Uint8Array(this.buffer.byteLength + pages * PAGE);
    larger.set(new Uint8Array(this.buffer));
    this.buffer = larger.buffer;
  } };

  function products(out, start, step, x, stride, weight, taps, lastTap, lines, pixels, inputs, outputs) {
    const numbers = new Float32Array(memory.buffer);
    const distances = new Int32Array(memory.buffer, taps, (lastTap - taps) / 4);
    for (let panel = 0, first = weight / 4; panel < outputs / 4; panel += PANEL) {
      const width = Math.min(PANEL, outputs / 4 - panel);
      for (let pixel = 0; pixel < lines * pixels; pixel++) {
        const [to, from] = [(out + pixel * outputs) / 4 + panel, (start + pixel * step) / 4 + panel];
        for (let place = 0; place < width; place++) numbers[to + place] = numbers[from + place];
        let w = first;
        for (const distance of distances) {
          let at = (x + Math.floor(pixel / pixels) * stride + (pixel % pixels) * inputs + distance) / 4;
          for (const end = at + inputs / 4; at < end; at += FOUR, w += FOUR * width) addFour(numbers, to, at, w, width);
        }
      }
      first += (width * distances.length * inputs) / 4;
    }
  }

  function prepare(out, x, rows, length, gains, shifts, slope) {
    const numbers = new Float32Array(memory.buffer);
    for (let place = 0; place < (rows * length) / 4; place++) {
      const column = place % (length / 4);
      const value = numbers[x / 4 + place] * numbers[gains / 4 + column] + numbers[shifts / 4 + column];
      numbers[out / 4 + place] = Math.max(value, slope * value);
    }
  }

  function gather(out, x, rows, length, places, shares) {
    const numbers = new Float32Array(memory.buffer);
    const list = new Int32Array(memory.buffer, places, FOUR * rows);
    for (let row = 0, to = out / 4; row < rows; row++) {
      for (let column = 0; column < length / 4; column++, to++) {
        let sum = 0;
        for (let source = FOUR * row; source < FOUR * (row + 1); source++) {
          sum += numbers[shares / 4 + source] * numbers[(x + list[source]) / 4 + column];
        }
        numbers[to] = sum;
      }
    }
  }

  return { memory, products, prepare, gather };
}

// The products of four inputs: then each output is read and written a quarter as often.
function addFour(numbers, to, at, weight, width) {
  const a = numbers[at], b = numbers[at + 1], c = numbers[at + 2], d = numbers[at + 3];
  for (let place = 0; place < width; place++) {
    const w = weight + place;
    numbers[to + place] += a * numbers[w] + b * numbers[w + width] + c * numbers[w + 2 * width] + d * numbers[w + 3 * width];
  }
}
