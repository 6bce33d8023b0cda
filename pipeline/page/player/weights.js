// Decodes the weights of a model. Each is a whole number of steps; the steps are those of pipeline/page/weights.py, and
// the numbers are text by the entropy coder of pipeline/page/coder.py, which has the same constants.

const BASE = 93;
const LANES = 256;
const LOWEST = 1 << 24;
const STATE_DIGITS = 5;
const TABLE_BITS = 12;
const RAW_BITS = 12;
const DIRECT = 64;
const FINE = 2; // octaves: numbers that spread wider than this many bits have their lowest bits coded as they are
const LEAST = -8; // the least spread that is told apart, in quarters of octaves of the step
const QUARTERS = [1, 1.189207115002721, 1.4142135623730951, 1.681792830507429];

// A line of JSON and the digits -> the tensors by name, { shape, data } with data a Float32Array.
function readWeights(text) {
  const end = text.indexOf("\n");
  const { tables, tensors } = JSON.parse(text.slice(0, end));
  const coder = openCoder(readDigits(text, end + 1), openTables(tables));
  const read = {};
  for (const [name, [shape, ...scale]] of Object.entries(tensors)) read[name] = { shape, data: readTensor(coder, shape, scale) };
  return read;
}

// `spread` of the weights, `coarsest` and `lowest` steps, in quarters of octaves. Rows and columns, the last two axes, may
// have finer steps.
function readTensor(coder, shape, [spread, coarsest, lowest]) {
  const [height, width] = shape.length > 1 ? shape.slice(-2) : [1, 1];
  const [down, across] = [height, width].map((length) =>
    shape.length > 1 ? coder.readSymbols(length, new Uint8Array(1)) : new Uint8Array(1));
  const cells = height * width;
  const [lengths, low, kinds] = [new Float64Array(cells), new Uint8Array(cells), new Uint8Array(cells)];
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      const exponent = Math.max(coarsest - down[row] - across[column], lowest);
      lengths[at] = QUARTERS[exponent & 3] * 2 ** (exponent >> 2);
      low[at] = Math.max(((spread - exponent) >> 2) - FINE, 0);
      kinds[at] = 1 + Math.max(spread - exponent - 4 * low[at] - LEAST, 0);
    }
  }
  const symbols = coder.readSymbols(shape.reduce((product, length) => product * length, 1), kinds);
  const raw = coder.readBits(symbols, low);
  return joinNumbers(symbols, raw, low, lengths);
}

// Symbols, the bits that they leave open, of which the `low` lowest are below a zigzag-encoded number, and steps -> weights.
function joinNumbers(symbols, raw, low, lengths) {
  const out = new Float32Array(symbols.length);
  for (let at = 0, cell = 0; at < out.length; at++, cell = cell + 1 === low.length ? 0 : cell + 1) {
    const symbol = symbols[at];
    const shift = low[cell];
    const zigzag = symbol < DIRECT ? symbol : ((4 + (symbol & 3)) << countOpen(symbol)) + (raw[at] >> shift);
    const number = (((zigzag >>> 1) ^ -(zigzag & 1)) << shift) + (raw[at] & ((1 << shift) - 1));
    out[at] = lengths[cell] * number;
  }
  return out;
}

// How many bits of a number its symbol leaves open.
function countOpen(symbol) {
  return symbol < DIRECT ? 0 : ((symbol - DIRECT) >> 2) + 4;
}

// Printable ASCII from "!" on, without "<" -> the values of the digits.
function readDigits(text, start) {
  const digits = new Uint8Array(text.length - start);
  for (let at = 0; at < digits.length; at++) {
    const code = text.charCodeAt(start + at);
    digits[at] = code - (code > 60 ? 34 : 33);
  }
  return digits;
}

// Frequencies of symbols, for each table -> the symbols of its 2 ** TABLE_BITS places, where they start, how many they are.
function openTables(tables) {
  const places = 1 << TABLE_BITS;
  const [symbols, starts, counts] = [new Uint8Array(tables.length * places), new Int32Array(tables.length * 256), new Int32Array(tables.length * 256)];
  tables.forEach((frequencies, table) => {
    let start = 0;
    frequencies.forEach((frequency, symbol) => {
      symbols.fill(symbol, table * places + start, table * places + start + frequency);
      starts[table * 256 + symbol] = start;
      counts[table * 256 + symbol] = frequency;
      start += frequency;
    });
  });
  return { symbols, starts, counts };
}

// Numbers in the order in which they were written; consecutive ones belong to different lanes.
function openCoder(digits, tables) {
  const states = new Int32Array(LANES);
  let next = 0;
  for (let lane = 0; lane < LANES; lane++) {
    for (let digit = 0; digit < STATE_DIGITS; digit++) states[lane] = states[lane] * BASE + digits[next++];
  }

  function fill(state) {
    let filled = state;
    while (filled < LOWEST && next < digits.length) filled = filled * BASE + digits[next++];
    return filled;
  }

  // By the tables `kinds`, which start anew when they end.
  function readSymbols(length, kinds) {
    const out = new Uint8Array(length);
    for (let at = 0, cell = 0; at < length; at++, cell = cell + 1 === kinds.length ? 0 : cell + 1) {
      const state = states[at & (LANES - 1)];
      const slot = state & ((1 << TABLE_BITS) - 1);
      const symbol = tables.symbols[(kinds[cell] << TABLE_BITS) + slot];
      const entry = (kinds[cell] << 8) + symbol;
      out[at] = symbol;
      states[at & (LANES - 1)] = fill(tables.counts[entry] * (state >> TABLE_BITS) + slot - tables.starts[entry]);
    }
    return out;
  }

  // For each symbol the bits that it leaves open, and `low` ones below them; the lowest are first.
  function readBits(symbols, low) {
    const out = new Int32Array(symbols.length);
    let most = 1;
    for (let done = 0; done < most; done += RAW_BITS) {
      for (let at = 0, cell = 0; at < out.length; at++, cell = cell + 1 === low.length ? 0 : cell + 1) {
        const open = low[cell] + countOpen(symbols[at]);
        if (open > most) most = open;
        const bits = Math.min(Math.max(open - done, 0), RAW_BITS);
        const state = states[at & (LANES - 1)];
        out[at] += (state & ((1 << bits) - 1)) << done;
        states[at & (LANES - 1)] = fill(state >> bits);
      }
    }
    return out;
  }

  return { readSymbols, readBits };
}
