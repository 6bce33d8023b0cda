// Numbers in typed arrays and what the networks do with them.
//
// A map is { frames, height, width, channels, data }: a Float32Array in the order frame, row, column, channel. Weights
// are tensors { shape, data }, laid out by pipeline/page/widgets.py: a linear layer as [inputs, outputs], a convolution as
// [time, height, width, inputs, outputs] with the gain of its rectifier already in it.

const SLOPE = 0.2; // of the leaky rectifier
const GAIN = Math.sqrt(2 / (1 + SLOPE ** 2)); // by which its output has the mean square of a normal input

function makeMap(frames, height, width, channels, data = new Float32Array(frames * height * width * channels)) {
  return { frames, height, width, channels, data };
}

function likeMap(x, data = new Float32Array(x.data.length)) {
  return makeMap(x.frames, x.height, x.width, x.channels, data);
}

// x [rows, inputs] -> [rows, outputs]
function multiply(x, weight, bias) {
  return kernel.multiply(x, weight, bias);
}

function linear(weights, name, x) {
  return multiply(x, weights[`${name}.weight`], weights[`${name}.bias`]);
}

// A convolution that keeps the sides; beyond them lie zeros. What it sees is modulated and rectified before, if wanted, and
// its result is `added` to a map with the same sides.
function convolve(weights, name, x, { modulation = null, rectified = false, added = null } = {}) {
  const weight = weights[`${name}.weight`];
  const changes = { modulation, slope: rectified ? SLOPE : 1, added: added && added.data };
  const data = kernel.convolve(x, weight, weights[`${name}.bias`], changes);
  return makeMap(x.frames, x.height, x.width, weight.shape[4], data);
}

function activate(x) {
  return x.map((value) => GAIN * Math.max(value, SLOPE * value));
}

function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

function add(a, b) {
  const out = new Float32Array(a.length);
  for (let place = 0; place < a.length; place++) out[place] = a[place] + b[place];
  return out;
}

// From a to b, by a share from 0 to 1.
function mix(a, b, share) {
  const out = new Float32Array(a.length);
  for (let place = 0; place < a.length; place++) out[place] = a[place] + share * (b[place] - a[place]);
  return out;
}

function join(...parts) {
  const out = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

// [rows, width] each of its own width -> [rows, sum of widths]; a part of one row stands beside each of the others.
function joinRows(rows, ...parts) {
  const lines = [];
  for (let row = 0; row < rows; row++) {
    for (const { data, width } of parts) {
      lines.push(data.length === width ? data : data.subarray(row * width, (row + 1) * width));
    }
  }
  return join(...lines);
}

// Where a value of `count` evenly spaced ones lies among `length` others, without corners aligned, as torch enlarges.
function placeBetween(count, length) {
  return Array.from({ length: count }, (_, place) => {
    const source = Math.max(((place + 0.5) * length) / count - 0.5, 0);
    const low = Math.min(Math.floor(source), length - 1);
    return { low, high: Math.min(low + 1, length - 1), share: source - low };
  });
}

// Twice the height and width, bilinear.
function enlarge(x) {
  const [rows, columns] = [x.height, x.width].map((side) => listSources(placeBetween(2 * side, side)));
  return makeMap(x.frames, 2 * x.height, 2 * x.width, x.channels, kernel.resample(x, Array(x.frames).fill({ rows, columns })));
}

// Values between two others each, as sources of a map that is resampled.
function listSources(places) {
  return {
    places: Int32Array.from(places.flatMap(({ low, high }) => [low, high, low, high])),
    shares: Float32Array.from(places.flatMap(({ share }) => [1 - share, share, 0, 0])),
  };
}

// Each pixel twice in height and width.
function upsample(x) {
  const { frames, height, width, channels, data } = x;
  const out = makeMap(frames, 2 * height, 2 * width, channels);
  for (let place = 0, at = 0; place < frames * 2 * height; place++) {
    const line = (Math.floor(place / (2 * height)) * height + ((place % (2 * height)) >> 1)) * width;
    for (let w = 0; w < 2 * width; w++, at += channels) {
      const from = (line + (w >> 1)) * channels;
      out.data.set(data.subarray(from, from + channels), at);
    }
  }
  return out;
}

// Means over 2x2 pixels.
function downsample(x) {
  const { frames, height, width, channels, data } = x;
  const out = makeMap(frames, height >> 1, width >> 1, channels);
  let at = 0;
  for (let t = 0; t < frames; t++) {
    for (let h = 0; h + 1 < height; h += 2) {
      for (let w = 0; w + 1 < width; w += 2) {
        const a = ((t * height + h) * width + w) * channels, b = a + width * channels;
        for (let channel = 0; channel < channels; channel++, at++) {
          const [c, d] = [a + channel, b + channel];
          out.data[at] = (data[c] + data[c + channels] + data[d] + data[d + channels]) / 4;
        }
      }
    }
  }
  return out;
}

// Rows of mean 0 and variance 1, [rows, width], with a learned scale and shift where a name is given.
function normaliseRows(x, width, weights = {}, name = "") {
  const out = new Float32Array(x.length);
  const { data: scale } = weights[`${name}.weight`] ?? { data: null };
  const { data: shift } = weights[`${name}.bias`] ?? { data: null };
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const mean = row.reduce((sum, value) => sum + value, 0) / width;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    const inverse = 1 / Math.sqrt(variance + 1e-5);
    row.forEach((value, place) => {
      out[at + place] = (value - mean) * inverse * (scale ? scale[place] : 1) + (shift ? shift[place] : 0);
    });
  }
  return out;
}

function softmax(values) {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

// Each of the `heads` parts of a row looks at the same part of all rows: query, key and value are [rows, width] within
// rows of 3 * width -> [rows, width].
function attend(joint, rows, width, heads) {
  const part = width / heads;
  const out = new Float32Array(rows * width);
  const transposed = makeKeys(joint, rows, width);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < rows; row++) {
      const scores = new Float32Array(rows);
      for (let place = 0; place < part; place++) {
        const own = joint[row * 3 * width + head * part + place] / Math.sqrt(part);
        const line = (head * part + place) * rows;
        for (let other = 0; other < rows; other++) scores[other] += own * transposed[line + other];
      }
      const shares = softmax(scores);
      const at = row * width + head * part;
      for (let other = 0; other < rows; other++) {
        const from = other * 3 * width + 2 * width + head * part;
        for (let place = 0; place < part; place++) out[at + place] += shares[other] * joint[from + place];
      }
    }
  }
  return out;
}

// The keys of all rows, column by column: [width, rows].
function makeKeys(joint, rows, width) {
  const keys = new Float32Array(width * rows);
  for (let row = 0; row < rows; row++) {
    for (let place = 0; place < width; place++) keys[place * rows + row] = joint[row * 3 * width + width + place];
  }
  return keys;
}

// A gated recurrent unit over [steps, inputs] from a state [width] -> its states [steps, width]. Cho et al. 2014.
function runGru(weights, name, x, steps, state) {
  const width = state.length;
  const fromInputs = multiply(x, weights[`${name}.weight_ih_l0`], weights[`${name}.bias_ih_l0`]);
  const states = new Float32Array(steps * width);
  for (let step = 0; step < steps; step++) {
    const at = step * 3 * width;
    const own = multiply(state, weights[`${name}.weight_hh_l0`], weights[`${name}.bias_hh_l0`]);
    state = state.map((value, place) => {
      const reset = sigmoid(fromInputs[at + place] + own[place]);
      const keep = sigmoid(fromInputs[at + width + place] + own[width + place]);
      const fresh = Math.tanh(fromInputs[at + 2 * width + place] + reset * own[2 * width + place]);
      return fresh + keep * (value - fresh);
    });
    states.set(state, step * width);
  }
  return states;
}
