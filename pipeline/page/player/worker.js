// Draws clips beside the page, so that it never stands still: { scene, number } in, { number, frames, milliseconds } out.

let loading = null;

onmessage = async ({ data }) => {
  try {
    if (data.description) {
      loading = readModel(data.description, data.weights);
      await loading;
      postMessage({ ready: true });
      return;
    }
    const model = await loading;
    const start = performance.now();
    const frames = drawClip(model, data.scene);
    postMessage({ number: data.number, frames, milliseconds: performance.now() - start }, [frames.buffer]);
  } catch (error) {
    postMessage({ number: data.number, error: error.message });
  }
};
