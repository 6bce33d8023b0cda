// Frames -> the bytes of a GIF that repeats for ever. Frames are bytes in the order frame, row, column, colour.

function encodeGif(frames, { frames: count, height, width }, { scale, fps }) {
  const { palette, indices } = choosePalette(frames);
  const bytes = [...textBytes("GIF89a"), ...pair(width * scale), ...pair(height * scale), 0xf7, 0, 0, ...palette];
  bytes.push(0x21, 0xff, 11, ...textBytes("NETSCAPE2.0"), 3, 1, 0, 0, 0);
  for (let frame = 0; frame < count; frame++) {
    const picture = indices.subarray(frame * height * width, (frame + 1) * height * width);
    bytes.push(0x21, 0xf9, 4, 0, ...pair(Math.round(100 / fps)), 0, 0, 0x2c, 0, 0, 0, 0);
    bytes.push(...pair(width * scale), ...pair(height * scale), 0, 8);
    const packed = compress(enlargePicture(picture, height, width, scale));
    for (let at = 0; at < packed.length; at += 255) {
      const block = packed.slice(at, at + 255);
      bytes.push(block.length, ...block);
    }
    bytes.push(0);
  }
  return Uint8Array.from([...bytes, 0x3b]);
}

function textBytes(text) {
  return [...text].map((letter) => letter.charCodeAt(0));
}

function pair(number) {
  return [number & 255, number >> 8];
}

function enlargePicture(picture, height, width, scale) {
  const out = new Uint8Array(picture.length * scale * scale);
  for (let at = 0; at < out.length; at++) {
    const [row, column] = [Math.floor(at / (width * scale)), at % (width * scale)];
    out[at] = picture[Math.floor(row / scale) * width + Math.floor(column / scale)];
  }
  return out;
}

// 256 colours by median cut among colours of 15 bits (Heckbert 1982), and which of them each pixel has.
function choosePalette(frames) {
  const counts = new Map();
  const colours = new Uint16Array(frames.length / 3);
  for (let pixel = 0; pixel < colours.length; pixel++) {
    const [red, green, blue] = frames.subarray(pixel * 3, pixel * 3 + 3);
    colours[pixel] = ((red >> 3) << 10) | ((green >> 3) << 5) | (blue >> 3);
    const sum = counts.get(colours[pixel]) ?? [0, 0, 0, 0];
    [red, green, blue, 1].forEach((value, place) => (sum[place] += value));
    counts.set(colours[pixel], sum);
  }
  const boxes = cutBoxes([...counts].map(([colour, [red, green, blue, pixels]]) => (
    { colour, pixels, mean: [red / pixels, green / pixels, blue / pixels] }
  )));
  const place = new Uint8Array(2 ** 15);
  const palette = new Uint8Array(3 * 256);
  boxes.forEach((box, index) => {
    for (const { colour } of box) place[colour] = index;
    const pixels = sumOf(box.map((one) => one.pixels));
    for (let part = 0; part < 3; part++) {
      palette[index * 3 + part] = Math.round(sumOf(box.map((one) => one.mean[part] * one.pixels)) / pixels);
    }
  });
  return { palette, indices: Uint8Array.from(colours, (colour) => place[colour]) };
}

function sumOf(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

// Boxes of colours, of which the one that reaches farthest is halved again and again.
function cutBoxes(colours) {
  const measure = (box) => {
    const reaches = [0, 1, 2].map((part) => {
      const values = box.map((one) => one.mean[part]);
      return Math.max(...values) - Math.min(...values);
    });
    const reach = Math.max(...reaches);
    return { box, reach: box.length > 1 ? reach : -1, part: reaches.indexOf(reach) };
  };
  const boxes = [measure(colours)];
  while (boxes.length < 256) {
    boxes.sort((a, b) => b.reach - a.reach);
    const { box, reach, part } = boxes[0];
    if (reach < 0) break;
    box.sort((a, b) => a.mean[part] - b.mean[part]);
    const middle = Math.ceil(box.length / 2);
    boxes.splice(0, 1, measure(box.slice(0, middle)), measure(box.slice(middle)));
  }
  return boxes.map(({ box }) => box);
}

// LZW with codes of 9 to 12 bits, as GIF has it. Welch 1984.
function compress(indices) {
  const [clear, end] = [256, 257];
  const bytes = [];
  let [bits, held, width, next] = [0, 0, 9, 258];
  let codes = new Map();
  const put = (code) => {
    bits |= code << held;
    for (held += width; held >= 8; held -= 8, bits >>>= 8) bytes.push(bits & 255);
    if (next === 2 ** width && width < 12) width++;
  };
  put(clear);
  let known = indices[0];
  for (let at = 1; at < indices.length; at++) {
    const key = known * 256 + indices[at];
    if (codes.has(key)) {
      known = codes.get(key);
      continue;
    }
    put(known);
    known = indices[at];
    if (next < 4096) {
      codes.set(key, next++);
    } else {
      put(clear);
      [codes, width, next] = [new Map(), 9, 258];
    }
  }
  put(known);
  put(end);
  if (held > 0) bytes.push(bits & 255);
  return bytes;
}
