// Caption encoders: token ids -> a vector of the caption, as pipeline/models/caption_encoders.py has them.
//
// Each word's vector is read from a table that was computed when the page was made: learned ones, or pretrained ones
// after their projection.

const PAD_ID = 0;
const UNKNOWN_ID = 1;

// The vectors that condition the generator: of the whole caption, of the words that name objects, of all the others.
function encodeCaption(model, ids) {
  const { weights } = model;
  const { encoder, heads } = model.captions;
  const all = ids.length ? ids : [PAD_ID];
  const whole = encodeIds(weights, "caption_encoder", encoder, heads, all);
  if (!weights["object_encoder.words"]) return { whole };
  const named = all.map((id) => namesObject(model, id));
  const parted = weights.names_object.data.some((flag) => !flag); // else no caption of the data names an object
  const only = (ids, keep, other) => ids.map((id, place) => (keep[place] ? id : other));
  return {
    whole,
    objects: encodeIds(weights, "object_encoder", "mean", heads, only(all, named, PAD_ID)),
    actions: encodeIds(weights, "caption_encoder", encoder, heads, only(all, named.map((one) => !one || !parted), UNKNOWN_ID)),
  };
}

// Whether a word names an object; one never trained on nearly always does.
function namesObject(model, id) {
  const flags = model.weights.names_object.data;
  return id !== PAD_ID && (id === UNKNOWN_ID || id >= flags.length || flags[id] > 0);
}

function encodeIds(weights, name, kind, heads, ids) {
  const table = weights[`${name}.words`];
  const width = table.shape[1];
  const words = join(...ids.map((id) => table.data.subarray(id * width, (id + 1) * width)));
  // A caption without any word counts as one silent word.
  const mask = ids.map((id, place) => id !== PAD_ID || place === 0);
  const encode = { mean: encodeMean, gru: encodeGru, transformer: encodeTransformer }[kind];
  return normaliseRows(encode(weights, name, words, width, mask, heads), width);
}

function encodeMean(weights, name, words, width, mask) {
  return linear(weights, `${name}.project`, meanOfWords(words, width, mask));
}

// The root keeps the variance of a single word.
function meanOfWords(words, width, mask) {
  const sum = new Float32Array(width);
  words.forEach((value, place) => (sum[place % width] += value));
  const count = mask.filter(Boolean).length;
  return sum.map((value) => value / Math.sqrt(count));
}

// The last words of a caption without padding are its end, so both directions read all of it.
function encodeGru(weights, name, words, width, mask) {
  const steps = mask.length;
  const mirrored = join(...mask.map((_, place) => words.subarray((steps - 1 - place) * width, (steps - place) * width)));
  const last = (direction, read) =>
    runGru(weights, `${name}.${direction}`, read, steps, new Float32Array(width)).subarray((steps - 1) * width);
  const ends = [last("forwards", words), last("backwards", mirrored)];
  return linear(weights, `${name}.project`, join(meanOfWords(words, width, mask), ...ends));
}

// Normalised before each block: Xiong et al. 2020, arXiv:2002.04745.
function encodeTransformer(weights, name, words, width, mask, heads) {
  const rows = mask.length;
  let states = add(words, wavesOfPlaces(rows, width));
  for (let layer = 0; weights[`${name}.layers.${layer}.norm1.weight`]; layer++) {
    const own = `${name}.layers.${layer}`;
    const read = normaliseRows(states, width, weights, `${own}.norm1`);
    const joint = multiply(read, weights[`${own}.self_attn.in_proj_weight`], weights[`${own}.self_attn.in_proj_bias`]);
    states = add(states, linear(weights, `${own}.self_attn.out_proj`, attend(joint, rows, width, heads)));
    const hidden = linear(weights, `${own}.linear1`, normaliseRows(states, width, weights, `${own}.norm2`));
    states = add(states, linear(weights, `${own}.linear2`, hidden.map((value) => Math.max(value, 0))));
  }
  states = normaliseRows(states, width, weights, `${name}.norm`);
  const shares = softmax(linear(weights, `${name}.weigh`, states));
  const gathered = new Float32Array(width);
  states.forEach((value, place) => (gathered[place % width] += shares[Math.floor(place / width)] * value));
  return linear(weights, `${name}.project`, gathered);
}

// Waves of growing length over the places: [rows, width].
function wavesOfPlaces(rows, width) {
  return new Float32Array(rows * width).map((_, index) => {
    const [place, channel] = [Math.floor(index / width), index % width];
    const angle = place * Math.exp((channel - (channel % 2)) * (-Math.log(10000) / width));
    return channel % 2 ? Math.cos(angle) : Math.sin(angle);
  });
}
