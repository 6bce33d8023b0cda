// The generator of recurrent frames, as pipeline/models/convgru_generator.py has it.

function drawConvGru(model, z, { whole }) {
  const { weights, generator: params, clip } = model;
  const content = z.subarray(0, params.content_width);
  const still = join(content, whole);
  const curves = smoothCurves(z.subarray(params.content_width), clip.frames);
  const inputs = joinRows(
    clip.frames,
    { data: curves, width: curves.length / clip.frames },
    { data: whole, width: whole.length },
  );
  const state = linear(weights, "generator.begin", still).map(Math.tanh);
  let codes = runGru(weights, "generator.recurrent", inputs, clip.frames, state);
  if (params.caption_in_blocks) {
    codes = joinRows(clip.frames, { data: codes, width: state.length }, { data: still, width: still.length });
  }
  const remember = (x, stage) =>
    weights[`generator.memories.${stage}.input_conv.weight`] ? runConvGru(weights, `generator.memories.${stage}`, x) : x;
  const x = growMap(weights, "generator", codes, [clip.height, clip.width], {
    block: frameBlock, grow: upsample, after: remember,
  });
  const frames = convolve(weights, "generator.last", x, { rectified: true });
  return likeMap(frames, frames.data.map(Math.tanh));
}

// x + two convolutions within each frame.
function frameBlock(weights, name, x, codes) {
  const first = convolve(weights, `${name}.first`, x, { modulation: readNorm(weights, `${name}.norms.0`, codes), rectified: true });
  const modulation = readNorm(weights, `${name}.norms.1`, codes);
  return convolve(weights, `${name}.second`, first, { modulation, rectified: true, added: x });
}

// Modulation, after a batch norm with the running means of training where there is one.
function readNorm(weights, name, codes) {
  const running = weights[`${name}.running`];
  if (!running) return readModulation(weights, name, codes);
  const { gains, shifts } = readModulation(weights, `${name}.modulation`, codes);
  const channels = running.data.length / 2;
  const [means, squares] = [running.data.subarray(0, channels), running.data.subarray(channels)];
  const scales = means.map((mean, channel) => 1 / Math.sqrt(Math.max(squares[channel] - mean ** 2, 0) + 1e-5));
  const scaled = gains.map((gain, place) => gain * scales[place % channels]);
  return { gains: scaled, shifts: shifts.map((shift, place) => shift - means[place % channels] * scaled[place]) };
}

// A GRU at each place, whose gates are convolutions. Ballas et al. 2016.
function runConvGru(weights, name, x) {
  const { frames, height, width, channels } = x;
  const length = height * width * channels;
  const inputs = convolve(weights, `${name}.input_conv`, x).data;
  const out = likeMap(x);
  let state = makeMap(1, height, width, channels);
  for (let t = 0; t < frames; t++) {
    const gates = convolve(weights, `${name}.gate_conv`, state).data;
    const read = (index, part) => inputs[3 * t * length + Math.floor(index / channels) * 3 * channels + part * channels + (index % channels)];
    const gate = (index, part) => gates[Math.floor(index / channels) * 2 * channels + part * channels + (index % channels)];
    const kept = state.data.map((value, index) => value * sigmoid(read(index, 1) + gate(index, 1)));
    const fromKept = convolve(weights, `${name}.candidate_conv`, likeMap(state, kept)).data;
    const next = state.data.map((value, index) => {
      const fresh = Math.tanh(read(index, 2) + fromKept[index]);
      return value + sigmoid(read(index, 0) + gate(index, 0)) * (fresh - value);
    });
    out.data.set(next, t * length);
    state = likeMap(state, next);
  }
  return out;
}
