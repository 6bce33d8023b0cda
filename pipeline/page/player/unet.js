// The U-Net generator: a clip out of noise in a few steps, as pipeline/models/unet_generator.py has it.

const TIME_FREQUENCIES = 16; // of the time embedding
const MAX_FREQUENCY = 30; // radians over the whole path
const UNET_HEADS = 4;

// From noise to a clip along a straight path, in the steps that training or `sampling` names.
function drawUNet(model, z, { whole }) {
  const { clip, flow } = model;
  let frames = makeMap(clip.frames, clip.height, clip.width, 3, z);
  const blind = new Float32Array(whole.length);
  const times = Array.from({ length: flow.steps + 1 }, (_, step) => shiftTime(1 - step / flow.steps, flow.time_shift));
  for (let step = 0; step < flow.steps; step++) {
    const [now, later] = [times[step], times[step + 1]];
    const end = flow.takes_long_steps ? later : now;
    const findVelocity = (cond) => {
      const clean = predictClip(model, frames, end, now, cond).data;
      return frames.data.map((value, index) => (value - clean[index]) / now);
    };
    let velocity = findVelocity(whole);
    if (flow.guidance !== 1) velocity = mix(findVelocity(blind), velocity, flow.guidance);
    frames = likeMap(frames, frames.data.map((value, index) => value - (now - later) * velocity[index]));
  }
  return frames;
}

// A time whose logit is so much larger; 0 and 1 stay.
function shiftTime(time, by) {
  return (Math.exp(by) * time) / (1 + Math.expm1(by) * time);
}

// The clip that a straight step from `time` to `end` leads towards.
function predictClip(model, noisy, end, time, cond) {
  const { weights, generator: params } = model;
  const patch = [params.frame_patch, params.patch, params.patch];
  const codes = encodeTimes(weights, end, time, cond);
  let x = addMaps(convolve(weights, "generator.patch_embed", fold(noisy, patch)), weights["generator.position_embedding"].data);
  const skips = [];
  const levels = countParts(weights, "generator.widen");
  for (let level = 0; level < levels; level++) {
    x = runStage(weights, `generator.down.${level}`, x, codes);
    skips.push(x);
    x = convolve(weights, `generator.widen.${level}`, downsample(x));
  }
  x = addMaps(x, linear(weights, "generator.canvas", codes));
  for (let block = 0; block < 4; block++) {
    const run = block % 2 ? normalisedBlock : attentionBlock;
    x = run(weights, `generator.middle.${block}`, x, codes);
  }
  for (let level = levels - 1; level >= 0; level--) {
    const wider = upsample(convolve(weights, `generator.narrow.${level}`, x));
    x = runStage(weights, `generator.up.${level}`, addMaps(wider, skips.pop().data), codes);
  }
  const modulation = readModulation(weights, "generator.modulation", codes);
  const written = convolve(weights, "generator.unpatch", normalisePlaces(x), { modulation, rectified: true });
  return finish(weights, unfold(written, patch), noisy);
}

// The last convolutions see the noisy clip, so that patches leave no seams.
function finish(weights, drawn, noisy) {
  const pixels = noisy.data.length / 3;
  const both = joinRows(pixels, { data: drawn.data, width: drawn.channels }, { data: noisy.data, width: 3 });
  const fine = convolve(weights, "generator.fine", makeMap(noisy.frames, noisy.height, noisy.width, drawn.channels + 3, both));
  const added = convolve(weights, "generator.last", fine, { rectified: true }).data;
  const colour = (index) => drawn.data[Math.floor(index / 3) * drawn.channels + (index % 3)];
  return likeMap(noisy, added.map((value, index) => value + colour(index)));
}

function encodeTimes(weights, end, time, cond) {
  const silu = (values) => values.map((value) => value * sigmoid(value));
  const hidden = linear(weights, "generator.condition_embed", join(embedTime(time), embedTime(time - end), cond));
  const frames = weights["generator.frame_embedding"].data;
  return silu(linear(weights, "generator.code", silu(frames.map((value, index) => value + hidden[index % hidden.length]))));
}

// A time in [0,1] as waves, slow ones and fast ones.
function embedTime(time) {
  const angles = Array.from({ length: TIME_FREQUENCIES }, (_, wave) => time * Math.exp((Math.log(MAX_FREQUENCY) * wave) / (TIME_FREQUENCIES - 1)));
  return Float32Array.from([...angles.map(Math.cos), ...angles.map(Math.sin)]);
}

function runStage(weights, name, x, codes) {
  const blocks = countParts(weights, `${name}.blocks`);
  for (let block = 0; block < blocks; block++) x = normalisedBlock(weights, `${name}.blocks.${block}`, x, codes);
  return x;
}

function attentionBlock(weights, name, x, codes) {
  const { channels } = x;
  const divide = (a, b) => (b ? divide(b, a % b) : a);
  const joint = linear(weights, `${name}.qkv`, modulate(weights, `${name}.modulation`, normalisePlaces(x), codes).data);
  const gathered = attend(joint, x.data.length / channels, channels, divide(channels, UNET_HEADS));
  return addMaps(x, linear(weights, `${name}.proj`, gathered));
}
