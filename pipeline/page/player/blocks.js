// Blocks that the generators are made of, as pipeline/models/layers.py has them. Codes are [frames, width].

// What a code makes of x: (1 + gain(code)) * x + bias(code), one of each per frame and channel.
function readModulation(weights, name, codes) {
  const both = linear(weights, `${name}.gain_and_bias`, codes);
  const half = weights[`${name}.gain_and_bias.bias`].data.length / 2;
  const [gains, shifts] = [new Float32Array(both.length / 2), new Float32Array(both.length / 2)];
  for (let from = 0, to = 0; from < both.length; from += half) {
    for (let end = from + half; from < end; from++, to++) {
      gains[to] = 1 + both[from];
      shifts[to] = both[from + half];
    }
  }
  return { gains, shifts };
}

// The same of a map, where no convolution follows.
function modulate(weights, name, x, codes) {
  const { gains, shifts } = readModulation(weights, name, codes);
  const { frames, channels, data } = x;
  const out = likeMap(x);
  for (let at = 0; at < data.length; at++) {
    const own = Math.floor((at * frames) / data.length) * channels + (at % channels);
    out.data[at] = gains[own] * data[at] + shifts[own];
  }
  return out;
}

// x + space-then-time convolutions of x.
function residualBlock(weights, name, x, codes = null) {
  return changeMap(weights, name, x, x, codes);
}

// The same, where the convolutions see x normalised at each place.
function normalisedBlock(weights, name, x, codes) {
  return changeMap(weights, name, x, normalisePlaces(x), codes);
}

function changeMap(weights, name, added, x, codes) {
  const modulation = codes && readModulation(weights, `${name}.modulation`, codes);
  const h = convolve(weights, `${name}.space`, x, { modulation, rectified: true });
  return convolve(weights, `${name}.time`, h, { rectified: true, added });
}

function addMaps(x, other) {
  return likeMap(x, add(x.data, other));
}

// How many parts a list of modules has.
function countParts(weights, name) {
  let count = 0;
  while (Object.keys(weights).some((key) => key.startsWith(`${name}.${count}.`))) count++;
  return count;
}

// Blocks, and between each two a narrower map with twice the sides: codes -> a map with the sides of the last.
function growMap(weights, name, codes, sides, { block = residualBlock, grow = enlarge, after = (x) => x } = {}) {
  const doublings = countParts(weights, `${name}.narrow`);
  const [height, width] = sides.map((side) => side >> doublings);
  const drawn = linear(weights, `${name}.start`, codes);
  const frames = codes.length / weights[`${name}.start.weight`].shape[0];
  let x = makeMap(frames, height, width, drawn.length / (frames * height * width), drawn);
  for (let stage = 0; stage <= doublings; stage++) {
    x = after(block(weights, `${name}.stages.${stage}`, x, codes), stage);
    if (stage < doublings) x = grow(convolve(weights, `${name}.narrow.${stage}`, x));
  }
  return x;
}

const CURVE_KNOTS = 4; // values that a smooth motion curve runs through

// Curves through evenly spaced knots, eased by a raised cosine: [curves, knots] -> [steps, curves].
function smoothCurves(knots, steps) {
  const curves = knots.length / CURVE_KNOTS;
  const out = new Float32Array(steps * curves);
  for (let step = 0; step < steps; step++) {
    const place = steps > 1 ? (step * (CURVE_KNOTS - 1)) / (steps - 1) : 0;
    const left = Math.min(Math.floor(place), CURVE_KNOTS - 2);
    const ease = (1 - Math.cos(Math.PI * (place - left))) / 2;
    for (let curve = 0; curve < curves; curve++) {
      const at = curve * CURVE_KNOTS + left;
      out[step * curves + curve] = knots[at] + ease * (knots[at + 1] - knots[at]);
    }
  }
  return out;
}

// Channels with a mean square of 1 at each place.
function normalisePlaces(x) {
  const { channels, data } = x;
  const out = likeMap(x);
  for (let at = 0; at < data.length; at += channels) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += data[at + channel] ** 2;
    const scale = 1 / Math.sqrt(sum / channels + 1e-4);
    for (let channel = 0; channel < channels; channel++) out.data[at + channel] = data[at + channel] * scale;
  }
  return out;
}

// Each patch as one place, its channels in the order frame, row, column, colour; `unfold` is the reverse.
function fold(x, patch) {
  const [t, h, w] = [x.frames / patch[0], x.height / patch[1], x.width / patch[2]];
  const out = makeMap(t, h, w, x.channels * patch[0] * patch[1] * patch[2]);
  eachOfPatches(x, patch, (place, inPatch) => (out.data[inPatch] = x.data[place]));
  return out;
}

function unfold(x, patch) {
  const channels = x.channels / (patch[0] * patch[1] * patch[2]);
  const out = makeMap(x.frames * patch[0], x.height * patch[1], x.width * patch[2], channels);
  eachOfPatches(out, patch, (place, inPatch) => (out.data[place] = x.data[inPatch]));
  return out;
}

// Where each value of a map lies, and where it lies in the map of its patches.
function eachOfPatches({ frames, height, width, channels }, [long, tall, wide], visit) {
  let place = 0;
  for (let t = 0; t < frames; t++) {
    for (let h = 0; h < height; h++) {
      for (let w = 0; w < width; w++) {
        const cell = (Math.floor(t / long) * (height / tall) + Math.floor(h / tall)) * (width / wide) + Math.floor(w / wide);
        const part = ((t % long) * tall + (h % tall)) * wide + (w % wide);
        const inPatch = (cell * long * tall * wide + part) * channels;
        for (let channel = 0; channel < channels; channel++, place++) visit(place, inPatch + channel);
      }
    }
  }
}
