// The residual generator: still layers, each moved and scaled over time, over a background that may be moved or bent, as
// pipeline/models/residual_generator.py has it.

const PLACE = 4; // centre y, centre x, log scale y, log scale x; the frame reaches from -1 to 1
const PACE = [0.3, 0.3, 0.1, 0.1]; // how much slower a layer moves and grows than weights change
const REACH = [1.5, 1.5, 0.7, 0.7]; // how far a place may be from 0
const SHRINKING = 0.1; // the same of the scale of layers that hardly shrink, downwards
const FADING = 0.2; // within which layers of objects fade to nothing
const [OBJECTS_CLEAR, OTHERS_CLEAR] = [1, 3]; // taken from the logit of the layers' alpha
const LARGER = 2; // sides of a background that the camera moves over, to those of the frame
const FLOW_KNOTS = 4; // on each side of the grid that a flow is smooth between
const BENDING = 0.1; // how much slower a flow changes than weights do

// Noise and the vectors of a caption -> a map of frames, about -1 to 1.
function drawResidual(model, z, { whole, objects = whole, actions = whole }) {
  const { weights, generator: params, clip } = model;
  const sides = [clip.height, clip.width];
  const content = z.subarray(0, params.content_width);
  const time = clip.frames % 2 ? 1 : 2; // frames per step inside the network
  const steps = clip.frames / time;
  const curves = smoothCurves(z.subarray(params.content_width), steps);
  const codes = encodeSteps(weights, join(content, actions), curves, steps);
  const look = activate(linear(weights, "generator.look", join(content, objects)));
  const layers = cutOut(drawStill(weights, "generator.layers", look, sides), OBJECTS_CLEAR, params.object_extent);
  if (weights["generator.helpers.start.weight"]) {
    const helping = activate(linear(weights, "generator.helping", join(content, actions)));
    layers.push(...cutOut(drawStill(weights, "generator.helpers", helping, sides), OTHERS_CLEAR));
  }
  const setting = activate(linear(weights, "generator.setting", content));
  const frames = drawBackground(weights, params, clip, setting, codes, steps);
  const places = readPlaces(weights, "generator.placement", codes, steps, clip.frames);
  addOffset(places, linear(weights, "generator.offset", look), layers.length);
  keepNear(places, layers.length, params.object_extent < 1 ? params.object_layers : 0);
  layers.forEach((layer, number) => lay(frames, layer, places, number, layers.length));
  return params.volume_width ? coverWithVolume(weights, frames, encodeSteps(weights, join(content, whole), curves, steps), time) : frames;
}

// The code of each step: [steps, width].
function encodeSteps(weights, still, curves, steps) {
  const waves = new Float32Array(steps * 2 * CURVE_KNOTS).map((_, index) => {
    const [step, wave] = [Math.floor(index / (2 * CURVE_KNOTS)), index % (2 * CURVE_KNOTS)];
    const angle = ((steps > 1 ? step / (steps - 1) : 0) * Math.PI * ((wave % CURVE_KNOTS) + 1)) / 2;
    return wave < CURVE_KNOTS ? Math.sin(angle) : Math.cos(angle);
  });
  const features = joinRows(steps, { data: still, width: still.length }, { data: curves, width: curves.length / steps });
  const first = linear(weights, "generator.code.first", features);
  const second = linear(weights, "generator.code.second", activate(add(first, linear(weights, "generator.code.place", waves))));
  return activate(linear(weights, "generator.code.third", activate(second)));
}

function drawStill(weights, name, code, sides) {
  return convolve(weights, `${name}.last`, growMap(weights, name, code, sides), { rectified: true });
}

// A picture of 4 channels for each layer -> the layers, colours multiplied by their alpha, so that none bleeds in from
// transparent pixels. Beyond `extent` of the way from the middle to the border they fade.
function cutOut(picture, clear, extent = 1) {
  const { height, width, channels, data } = picture;
  const rows = fade(height, extent);
  const columns = fade(width, extent);
  return Array.from({ length: channels / 4 }, (_, layer) => {
    const out = makeMap(1, height, width, 4);
    for (let pixel = 0; pixel < height * width; pixel++) {
      const from = pixel * channels + layer * 4;
      const alpha = sigmoid(data[from + 3] - clear) * rows[Math.floor(pixel / width)] * columns[pixel % width];
      for (let colour = 0; colour < 3; colour++) out.data[pixel * 4 + colour] = data[from + colour] * alpha;
      out.data[pixel * 4 + 3] = alpha;
    }
    return out;
  });
}

// How much is left of the pixels along a side.
function fade(side, extent) {
  const far = Array.from({ length: side }, (_, pixel) => Math.abs((pixel + 0.5) * (2 / side) - 1));
  return far.map((place) => (extent >= 1 ? 1 : Math.min(Math.max((extent + FADING - place) / FADING, 0), 1)));
}

// Where each layer is in each frame: [frames, layers, PLACE].
function readPlaces(weights, name, codes, steps, frames) {
  const places = stretch(linear(weights, `${name}.places`, codes), steps, frames);
  return places.map((value, index) => value * PACE[index % PLACE]);
}

// A constant offset, in place and size, of the layers of objects, which are the first, by their look; in place.
function addOffset(places, offset, layers) {
  for (let first = 0; first < places.length; first += layers * PLACE) {
    offset.forEach((value, index) => (places[first + index] += value * PACE[index % PLACE]));
  }
}

// Places of so many layers within their reach, hardly changed about the middle; the first `full` hardly shrink. In place.
function keepNear(places, layers = 1, full = 0) {
  places.forEach((value, index) => {
    const [layer, part] = [Math.floor(index / PLACE) % layers, index % PLACE];
    const reach = value < 0 && part >= 2 && layer < full ? SHRINKING : REACH[part];
    places[index] = value / (1 + Math.abs(value) / reach);
  });
}

function drawBackground(weights, params, clip, setting, codes, steps) {
  const { frames, height, width } = clip;
  const moving = params.background !== "still";
  const picture = drawStill(weights, "generator.background", setting, moving ? [LARGER * height, LARGER * width] : [height, width]);
  const out = makeMap(frames, height, width, 3);
  if (!moving) {
    for (let t = 0; t < frames; t++) out.data.set(picture.data, t * picture.data.length);
    return out;
  }
  const places = readPlaces(weights, "generator.camera.placement", codes, steps, frames);
  keepNear(places);
  if (params.background === "warped") {
    bend(out, picture, places, readFlow(weights, codes, steps, clip));
    return out;
  }
  return likeMap(out, moveLayer(picture, places, out, true));
}

// A layer over the frames, in place.
function lay(frames, layer, places, number, count) {
  const own = places.filter((_, index) => Math.floor(index / PLACE) % count === number);
  const moved = moveLayer(layer, own, frames, false);
  const { data } = frames;
  for (let from = 0, to = 0; from < moved.length; from += 4, to += 3) {
    const clear = 1 - moved[from + 3];
    for (let colour = 0; colour < 3; colour++) data[to + colour] = moved[from + colour] + data[to + colour] * clear;
  }
}

// A picture at its place in each frame [frames, PLACE], as much of it as a frame shows -> [frames, height, width, channels].
function moveLayer(picture, places, { frames, height, width }, goesOn) {
  const moves = Array.from({ length: frames }, (_, t) => {
    const [centreY, centreX, logY, logX] = places.subarray(t * PLACE, (t + 1) * PLACE);
    return {
      rows: findSources(height, centreY, logY, picture.height, goesOn),
      columns: findSources(width, centreX, logX, picture.width, goesOn),
    };
  });
  return kernel.resample(picture, moves);
}

// Which pixels of a picture are in each pixel of a frame along one side, and how much: the mean of two samples, by the
// rule of Gauss, since one sample of a picture that is shrunk would pass over pixels.
function findSources(side, centre, logScale, length, goesOn) {
  const shrinking = Math.exp(-logScale);
  const aside = Math.max(shrinking - 1, 0) / Math.sqrt(12);
  const [places, shares] = [new Int32Array(4 * side), new Float32Array(4 * side)];
  for (let pixel = 0, at = 0; pixel < side; pixel++) {
    const place = (pixel + 0.5) * (2 / side) - 1;
    const source = ((place - centre) * shrinking + length / side) * (side / 2) - 0.5;
    for (let sample of [source - aside, source + aside]) {
      if (goesOn) sample = Math.min(Math.max(sample, 0), length - 1);
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
function readFlow(weights, codes, steps, { frames, height, width }) {
  const knots = stretch(linear(weights, "generator.camera.flow", codes), steps, frames).map((value) => value * BENDING);
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

// What a camera sees of a larger picture through a flow, bilinear; beyond its border the picture goes on.
function bend(out, picture, places, flow) {
  const { frames, height, width } = out;
  const find = (place, length) => Math.min(Math.max(((place + 1) * length - 1) / 2, 0), length - 1);
  let at = 0;
  for (let t = 0; t < frames; t++) {
    const [centreY, centreX, logY, logX] = places.subarray(t * PLACE, (t + 1) * PLACE);
    const [shrinkY, shrinkX] = [Math.exp(-logY) / LARGER, Math.exp(-logX) / LARGER];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        const y = ((2 * (row + 0.5)) / height - 1 + flow[2 * at] - centreY) * shrinkY;
        const x = ((2 * (column + 0.5)) / width - 1 + flow[2 * at + 1] - centreX) * shrinkX;
        sample(out.data, at * 3, picture, find(y, picture.height), find(x, picture.width));
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

// Colours of space and time over the frames, by a mask.
function coverWithVolume(weights, frames, codes, time) {
  const name = "generator.volume";
  const half = growMap(weights, name, codes, [frames.height >> 1, frames.width >> 1]);
  const spread = convolve(weights, `${name}.spread`, half, { rectified: true });
  const whole = residualBlock(weights, `${name}.smooth`, enlarge(unfold(spread, [time, 1, 1])));
  const drawn = convolve(weights, `${name}.last`, whole, { rectified: true }).data;
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
