// A model as the page carries it: its description, its weights, and clips of it.

const GENERATORS = { residual: drawResidual, convgru: drawConvGru, unet: drawUNet };

// The description that pipeline/page/widgets.py writes, and the weights as text -> a model to draw with.
async function readModel(description, text) {
  return { ...description, weights: await readWeights(text) };
}

// A clip of a scene -> bytes in the order frame, row, column, colour. A scene has `ids`, `seed`, and where it lies on the
// way to another one `to` with the same two and `share`, from 0 to 1.
function drawClip(model, { ids, seed, to = null, share = 0 }) {
  let conds = encodeCaption(model, ids);
  let z = drawNoise(seed, model.z_width);
  if (to && share > 0) {
    const other = encodeCaption(model, to.ids);
    for (const part of Object.keys(conds)) conds[part] = mix(conds[part], other[part], share);
    z = mixNoise(z, drawNoise(to.seed, model.z_width), share);
  }
  const frames = GENERATORS[model.generator.kind](model, z, conds).data;
  const bytes = new Uint8ClampedArray(frames.length);
  for (let place = 0; place < frames.length; place++) {
    if (!Number.isFinite(frames[place])) throw new Error("the generator generates pixels that are not finite: its weights are broken");
    bytes[place] = (frames[place] + 1) * 127.5;
  }
  return bytes;
}

// Between two independent noises, again of variance 1.
function mixNoise(a, b, share) {
  const length = Math.hypot(1 - share, share);
  return a.every((value, place) => value === b[place]) ? a : mix(a, b, share).map((value) => value / length);
}
