// What is played -> a picture, a video, and a name for it.

const SAVED_SIDE = 256; // about, in pixels, of a clip in a file
const SAVED_LOOPS = 3; // of a video

// Pixels in a file per pixel of a clip.
function chooseScale({ height, width }) {
  return Math.min(Math.max(Math.round(SAVED_SIDE / Math.max(height, width)), 1), 8);
}

// A name that every system takes, of a caption and a seed.
function nameFile(caption, seed, ending) {
  return `${caption.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "clip"}-seed-${seed}.${ending}`;
}

function paintFrame(canvas, frames, { height, width }, number) {
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  const first = number * height * width * 3;
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let colour = 0; colour < 3; colour++) picture.data[pixel * 4 + colour] = frames[first + pixel * 3 + colour];
    picture.data[pixel * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// All frames side by side.
function makeStrip(frames, clip) {
  const [strip, single] = [document.createElement("canvas"), document.createElement("canvas")];
  const scale = chooseScale(clip);
  [strip.width, strip.height] = [clip.frames * clip.width * scale, clip.height * scale];
  const context = strip.getContext("2d");
  context.imageSmoothingEnabled = false;
  for (let number = 0; number < clip.frames; number++) {
    paintFrame(single, frames, clip, number);
    context.drawImage(single, number * clip.width * scale, 0, clip.width * scale, strip.height);
  }
  return new Promise((resolve) => strip.toBlob(resolve, "image/png"));
}

// The kind of video that this browser can record; empty for none.
function findVideoType() {
  const kinds = ["video/mp4", "video/webm;codecs=vp9", "video/webm"];
  const canStream = window.MediaRecorder && HTMLCanvasElement.prototype.captureStream;
  return (canStream && kinds.find((kind) => MediaRecorder.isTypeSupported(kind))) || "";
}

// A recording takes as long as it plays.
async function recordVideo(frames, clip, fps, type) {
  const [canvas, single] = [document.createElement("canvas"), document.createElement("canvas")];
  [canvas.width, canvas.height] = [clip.width, clip.height].map((side) => side * chooseScale(clip));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: type, videoBitsPerSecond: 4_000_000 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const ended = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (let number = 0; number < SAVED_LOOPS * clip.frames; number++) {
    paintFrame(single, frames, clip, number % clip.frames);
    context.drawImage(single, 0, 0, canvas.width, canvas.height);
    await new Promise((resolve) => setTimeout(resolve, 1000 / fps));
  }
  recorder.stop();
  await ended;
  return new Blob(parts, { type });
}
