// The residual generator: image layers, each moved and scaled over time, over a background that may be moved or warped; the
// counterpart of residual_generator.py and poses.py in pipeline/models, which give the reasons.

const POSE = 4; // centre y, centre x, log scale y, log scale x; the frame spans -1 to 1
const RATE = [0.3, 0.3, 0.1, 0.1]; // learning rates of a pose relative to those of the weights
const LIMIT = [1.5, 1.5, 0.7, 0.7]; // soft bounds on a pose
const MAX_OBJECT_SHRINKING = 0.1; // the bound on how far the log scale of an object layer may fall below 0
const FADE_WIDTH = 0.2; // over which object layers fade to transparent
const [OBJECT_ALPHA_BIAS, OTHER_ALPHA_BIAS] = [1, 3]; // subtracted from the logit of a layer's alpha
const CANVAS_SCALE = 2; // sides of a background under a moving camera, relative to the frame's
const FLOW_KNOTS = 4; // a flow is interpolated from a grid of this many values on each side
const FLOW_RATE = 0.1; // learning rate of a flow relative to that of the weights

// Noise and the vectors of a caption -> a map of frames, about -1 to 1.
function drawResidual(model, z, { whole, objects = whole, actions = whole }) {
  const { weights, generator: params, clip } = model;
  const sides = [clip.height, clip.width];
  const content = z.subarray(0, params.content_width);
  const knots = z.subarray(params.content_width);
  const codes = encodeSteps(weights, join(content, actions), knots, clip.frames);
  const objectCode = activate(linear(weights, "generator.object_code", join(content, objects)));
  const decode = (name, code, whole = sides) => {
    const image = decodeImage(weights, name, code, whole);
    return params.chroma === "half" ? halveChroma(image) : image;
  };
  const layers = splitLayers(decode("generator.object_layers", objectCode), OBJECT_ALPHA_BIAS, params.object_extent);
  if (weights["generator.other_layers.start.weight"]) {
    const otherCode = activate(linear(weights, "generator.other_code", join(content, actions)));
    layers.push(...splitLayers(decode("generator.other_layers", otherCode), OTHER_ALPHA_BIAS));
  }
  const backgroundCode = activate(linear(weights, "generator.background_code", content));
  const canvas = params.background === "still" ? sides : sides.map((side) => CANVAS_SCALE * side);
  const frames = drawBackground(weights, params, clip, decode("generator.background", backgroundCode, canvas), codes);
  const poses = readPoses(weights, "generator.pose_head", codes);
  addOffset(poses, linear(weights, "generator.object_pose_offset", objectCode), layers.length);
  boundPoses(poses, layers.length, params.object_extent < 1 ? params.object_layers : 0);
  layers.forEach((layer, number) => composeLayer(frames, layer, poses, number, layers.length));
  changeColours(frames.data, 3, weights["generator.to_rgb"]);
  if (!params.volume_width) return frames;
  const time = clip.frames % 2 ? 1 : 2; // frames per step of the volume
  return coverWithVolume(weights, frames, encodeSteps(weights, join(content, whole), knots, clip.frames / time), time);
}

// The code of each step of the clip: [steps, width].
function encodeSteps(weights, still, knots, steps) {
  const curves = smoothCurves(knots, steps);
  const waves = new Float32Array(steps * 2 * CURVE_KNOTS).map((_, index) => {
    const [step, wave] = [Math.floor(index / (2 * CURVE_KNOTS)), index % (2 * CURVE_KNOTS)];
    const angle = ((steps > 1 ? step / (steps - 1) : 0) * Math.PI * ((wave % CURVE_KNOTS) + 1)) / 2;
    return wave < CURVE_KNOTS ? Math.sin(angle) : Math.cos(angle);
  });
  const features = joinRows(steps, { data: still, width: still.length }, { data: curves, width: curves.length / steps });
  const first = linear(weights, "generator.step_encoder.first", features);
  const second = linear(weights, "generator.step_encoder.second", activate(add(first, linear(weights, "generator.step_encoder.time", waves))));
  return activate(linear(weights, "generator.step_encoder.third", activate(second)));
}

// An image, or one of twice the sides: details are added to it.
function decodeImage(weights, name, code, sides) {
  const grown = growMap(weights, name, code, sides);
  const image = convolve(weights, `${name}.last`, grown, { rectified: true });
  if (!weights[`${name}.detail.weight`]) return image;
  const finer = enlarge(convolve(weights, `${name}.to_detail`, grown));
  return convolve(weights, `${name}.detail`, finer, { rectified: true, added: enlarge(image) });
}

// Opponent colours at half the resolution, enlarged again; lightness and alpha, if there are 4 channels for each layer, stay.
function halveChroma(image) {
  const depth = image.channels % 4 ? 3 : 4; // channels of a layer, or of the background
  const smooth = filter(image, (side) => placeBetween(side, side / 2).map(({ low, high, share }) => [
    [2 * low, (1 - share) / 2], [2 * low + 1, (1 - share) / 2], [2 * high, share / 2], [2 * high + 1, share / 2],
  ]));
  return likeMap(image, smooth.map((value, at) => ([1, 2].includes((at % image.channels) % depth) ? value : image.data[at])));
}

// The mean of 2x2 pixels, twice; border pixels are repeated outside.
function soften(image) {
  return likeMap(image, filter(image, (side) => Array.from({ length: side }, (_, at) => (
    [[Math.max(at - 1, 0), 0.25], [at, 0.25], [at, 0.25], [Math.min(at + 1, side - 1), 0.25]]
  ))));
}

// An image whose pixels are sums of four others along each side, `list(side)`: [place, share] of each, for each pixel.
function filter(image, list) {
  const [rows, columns] = [image.height, image.width].map((side) => {
    const sources = list(side).flat();
    return { places: Int32Array.from(sources, ([place]) => place), shares: Float32Array.from(sources, ([, share]) => share) };
  });
  return kernel.resample(image, [{ rows, columns }]);
}

// An image of 4 channels for each layer -> RGBA layers with premultiplied alpha, so that colours of transparent pixels do
// not bleed in. Beyond `extent` of the way from the middle to the border they fade.
function splitLayers(image, alphaBias, extent = 1) {
  const { height, width, channels, data } = image;
  const rows = fade(height, extent);
  const columns = fade(width, extent);
  return Array.from({ length: channels / 4 }, (_, layer) => {
    const out = makeMap(1, height, width, 4);
    for (let pixel = 0; pixel < height * width; pixel++) {
      const from = pixel * channels + layer * 4;
      const alpha = sigmoid(data[from + 3] - alphaBias) * rows[Math.floor(pixel / width)] * columns[pixel % width];
      for (let colour = 0; colour < 3; colour++) out.data[pixel * 4 + colour] = data[from + colour] * alpha;
      out.data[pixel * 4 + 3] = alpha;
    }
    return out;
  });
}

// The window along one side.
function fade(side, extent) {
  const distances = Array.from({ length: side }, (_, pixel) => Math.abs((pixel + 0.5) * (2 / side) - 1));
  return distances.map((distance) => (extent >= 1 ? 1 : Math.min(Math.max((extent + FADE_WIDTH - distance) / FADE_WIDTH, 0), 1)));
}

// Unbounded poses: [frames, layers, POSE].
function readPoses(weights, name, codes) {
  return linear(weights, `${name}.poses`, codes).map((value, index) => value * RATE[index % POSE]);
}

// Adds a constant offset to the poses of the object layers, which are the first ones; in place.
function addOffset(poses, offset, layers) {
  for (let first = 0; first < poses.length; first += layers * POSE) {
    offset.forEach((value, index) => (poses[first + index] += value * RATE[index % POSE]));
  }
}

// Poses within their soft limits; close to 0 they hardly change. The first `unshrunk` layers hardly shrink. In place.
function boundPoses(poses, layers = 1, unshrunk = 0) {
  poses.forEach((value, index) => {
    const [layer, part] = [Math.floor(index / POSE) % layers, index % POSE];
    const limit = value < 0 && part >= 2 && layer < unshrunk ? MAX_OBJECT_SHRINKING : LIMIT[part];
    poses[index] = value / (1 + Math.abs(value) / limit);
  });
}

function drawBackground(weights, params, clip, image, codes) {
  const { frames, height, width } = clip;
  const out = makeMap(frames, height, width, 3);
  if (params.background === "still") {
    for (let t = 0; t < frames; t++) out.data.set(image.data, t * image.data.length);
    return out;
  }
  const poses = readPoses(weights, "generator.camera.pose_head", codes);
  boundPoses(poses);
  if (params.background === "warped") {
    warp(out, soften(image), poses, readFlow(weights, codes, clip));
    return out;
  }
  return likeMap(out, transform(image, poses, out, CANVAS_SCALE));
}

// Draws a layer over the frames, in place.
function composeLayer(frames, layer, poses, number, count) {
  const own = poses.filter((_, index) => Math.floor(index / POSE) % count === number);
  const moved = transform(layer, own, frames);
  const { data } = frames;
  for (let from = 0, to = 0; from < moved.length; from += 4, to += 3) {
    const clear = 1 - moved[from + 3];
    for (let colour = 0; colour < 3; colour++) data[to + colour] = moved[from + colour] + data[to + colour] * clear;
  }
}

// An image at its pose in each frame [frames, POSE] -> [frames, height, width, channels]. With `extent` it is as many times
// larger than the frame, and its border pixels are repeated outside; without, it is as large, and zero there.
function transform(image, poses, { frames, height, width }, extent) {
  const moves = Array.from({ length: frames }, (_, t) => {
    const [centreY, centreX, logY, logX] = poses.subarray(t * POSE, (t + 1) * POSE);
    return {
      rows: findSources(height, centreY, logY, image.height, extent),
      columns: findSources(width, centreX, logX, image.width, extent),
    };
  });
  return kernel.resample(image, moves);
}

// Which pixels of an image are in each pixel of a frame along one side, and with which weight: the mean of two samples, by
// two-point Gauss quadrature, since a single sample of an image that is reduced would alias.
function findSources(side, centre, logScale, length, extent) {
  const reduction = (Math.exp(-logScale) * length) / (side * (extent ?? 1)); // image pixels per frame pixel
  const offset = Math.max(reduction - 1, 0) / Math.sqrt(12);
  const [places, shares] = [new Int32Array(4 * side), new Float32Array(4 * side)];
  for (let pixel = 0, at = 0; pixel < side; pixel++) {
    const position = (pixel + 0.5) * (2 / side) - 1;
    const source = (position - centre) * reduction * (side / 2) + (length - 1) / 2;
    for (let sample of [source - offset, source + offset]) {
      if (extent) sample = Math.min(Math.max(sample, 0), length - 1);
      const low = Math.floor(sample);
      for (const near of [low, low + 1]) {
        const seen = near >= 0 && near < length;
        places[at] = seen ? near : 0;
        shares[at++] = seen ? (1 - Math.abs(sample - near)) / 2 : 0;
      }
    }
  }
  return { places, shares };
}

// How far each pixel of each frame is taken from elsewhere, down and right: [frames, height, width, 2].
function readFlow(weights, codes, { frames, height, width }) {
  const knots = linear(weights, "generator.camera.flow", codes).map((value) => value * FLOW_RATE);
  const [rows, columns] = [height, width].map(findCubicShares);
  const flow = new Float32Array(frames * height * width * 2);
  let at = 0;
  for (let t = 0; t < frames; t++) {
    for (const row of rows) {
      for (const column of columns) {
        for (let way = 0; way < 2; way++, at++) {
          const first = (t * 2 + way) * FLOW_KNOTS ** 2;
          row.forEach((down, i) => column.forEach((right, j) => (flow[at] += down * right * knots[first + i * FLOW_KNOTS + j])));
        }
      }
    }
  }
  return flow;
}

// How much of each knot is in each pixel along one side: cubic convolution with corners aligned, as torch has it.
function findCubicShares(side) {
  const a = -0.75;
  const weigh = (x) => (x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((x - 5) * x + 8) * a * x - 4 * a : 0);
  return Array.from({ length: side }, (_, pixel) => {
    const source = side > 1 ? (pixel * (FLOW_KNOTS - 1)) / (side - 1) : 0;
    const shares = new Float32Array(FLOW_KNOTS);
    for (let step = -1; step <= 2; step++) {
      const knot = Math.floor(source) + step;
      shares[Math.min(Math.max(knot, 0), FLOW_KNOTS - 1)] += weigh(Math.abs(source - knot));
    }
    return shares;
  });
}

// What a camera sees of a larger image through a flow, bilinear; border pixels are repeated outside.
function warp(out, image, poses, flow) {
  const { frames, height, width } = out;
  const find = (place, length) => Math.min(Math.max(((place + 1) * length - 1) / 2, 0), length - 1);
  let at = 0;
  for (let t = 0; t < frames; t++) {
    const [centreY, centreX, logY, logX] = poses.subarray(t * POSE, (t + 1) * POSE);
    const [shrinkY, shrinkX] = [Math.exp(-logY) / CANVAS_SCALE, Math.exp(-logX) / CANVAS_SCALE];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        const y = ((2 * (row + 0.5)) / height - 1 + flow[2 * at] - centreY) * shrinkY;
        const x = ((2 * (column + 0.5)) / width - 1 + flow[2 * at + 1] - centreX) * shrinkX;
        sample(out.data, at * 3, image, find(y, image.height), find(x, image.width));
      }
    }
  }
}

function sample(out, at, { height, width, channels, data }, y, x) {
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [bottom, right] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)];
  const [down, across] = [y - top, x - left];
  for (let channel = 0; channel < channels; channel++) {
    const value = (row, column) => data[(row * width + column) * channels + channel];
    const above = value(top, left) + across * (value(top, right) - value(top, left));
    const below = value(bottom, left) + across * (value(bottom, right) - value(bottom, left));
    out[at + channel] = above + down * (below - above);
  }
}

// Opponent colours, the first three of so many channels, to red, green and blue by a matrix [3, 3]; in place.
function changeColours(data, channels, { data: matrix }) {
  for (let at = 0; at < data.length; at += channels) {
    const [lightness, first, second] = [data[at], data[at + 1], data[at + 2]];
    for (let colour = 0; colour < 3; colour++) {
      data[at + colour] = lightness * matrix[colour] + first * matrix[3 + colour] + second * matrix[6 + colour];
    }
  }
}

// Colours of space and time over the frames, by a mask.
function coverWithVolume(weights, frames, codes, time) {
  const name = "generator.volume";
  const half = growMap(weights, name, codes, [frames.height >> 1, frames.width >> 1]);
  const spread = convolve(weights, `${name}.spread`, half, { rectified: true });
  const whole = residualBlock(weights, `${name}.smooth`, enlarge(unfold(spread, [time, 1, 1])));
  const drawn = convolve(weights, `${name}.last`, whole, { rectified: true }).data;
  changeColours(drawn, 4, weights["generator.to_rgb"]);
  const out = likeMap(frames);
  for (let from = 0, to = 0; from < drawn.length; from += 4) {
    const share = sigmoid(drawn[from + 3] - 1);
    for (let colour = 0; colour < 3; colour++, to++) {
      const value = frames.data[to];
      out.data[to] = value + share * (Math.tanh(drawn[from + colour]) - value);
    }
  }
  return out;
}
