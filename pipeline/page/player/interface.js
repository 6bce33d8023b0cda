// The player: what is typed and chosen -> a scene -> the clip that a worker generates.

const TILES = 16;
const PATIENCE = 400; // milliseconds after which a reader is told that a clip is being generated
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

function startPlayer() {
  const find = (name) => document.getElementById(`player-${name}`);
  const model = JSON.parse(find("model").textContent);
  const { clip } = model;
  const seen = { frames: null, number: 0, playing: !STILL.matches };
  const studio = startStudio(model, find("engine").textContent, find("weights").textContent);
  let [latest, done] = [0, 0];

  function readSide(prefix) {
    const caption = find(`${prefix}caption`).value.trim();
    const typed = find(`${prefix}seed`).value.trim();
    const isSeed = /^\d{1,18}$/.test(typed);
    const read = readCaption(model, caption);
    const error = read.error || (isSeed ? "" : "The seed must be a whole number of at most 18 digits.");
    return { caption, read, error, ids: read.ids, seed: isSeed ? String(BigInt(typed)) : "" };
  }

  // What is to be drawn; null with a message where it cannot be.
  function readScene() {
    const one = readSide("");
    find("known").value = one.caption; // blank where it is none of them, so that any can be chosen
    const opposite = findOpposite(model, one.read.tokens);
    const noWay = opposite || one.error ? "" : " This caption has no known opposite direction.";
    tell(find("notes"), one.error || describeUnknown(one.read) + noWay, one.error);
    find("turn").disabled = !opposite;
    if (one.error) return null;
    const share = find("between").open ? Number(find("share").value) / 100 : 0;
    if (share === 0) {
      tell(find("other-notes"), "");
      return { ...one, to: null, share };
    }
    const other = readSide("other-");
    tell(find("other-notes"), other.error || describeUnknown(other.read), other.error);
    return other.error ? { ...one, to: null, share: 0 } : { ...one, to: other, share };
  }

  async function draw() {
    const scene = readScene();
    if (!scene) return;
    const number = ++latest;
    setTimeout(() => { if (number === latest && number !== done) find("busy").textContent = "Generating …"; }, PATIENCE);
    const { frames, milliseconds, error } = await studio.draw(scene, () => number === latest);
    if (number !== latest) return;
    done = number;
    find("busy").textContent = "";
    if (error) return void tell(find("notes"), `The clip cannot be generated: ${error}`, error);
    Object.assign(seen, { frames, scene });
    find("canvas").setAttribute("aria-label", `${clip.frames} frames of: ${scene.caption}, seed ${scene.seed}`);
    Object.assign(find("canvas").dataset, { drawn: number, milliseconds });
    writeLink(find("link"), scene);
    paint();
    if (find("wall").open) await drawWall(scene);
  }

  // The 16 seeds around the chosen one, which stay when another of them is chosen. The worker draws one after another, and
  // what a reader asks for meanwhile comes next.
  async function drawWall(scene) {
    const number = latest;
    const first = BigInt(scene.seed) - (BigInt(scene.seed) % BigInt(TILES));
    const [tiles, wall] = [find("tiles"), `${first} ${scene.ids}`];
    if (tiles.dataset.wall !== wall) {
      tiles.dataset.wall = wall;
      tiles.replaceChildren(...Array.from({ length: TILES }, (_, tile) => makeTile(String(first + BigInt(tile)))));
    }
    for (const [drawn, button] of [...tiles.children].entries()) {
      if (button.frames) continue;
      showProgress(drawn);
      const { frames } = await studio.draw({ ...scene, seed: button.value, to: null, share: 0 }, () => number === latest);
      if (!frames) return;
      Object.assign(button, { frames, disabled: false });
      paintFrame(button.firstChild, frames, clip, seen.number);
    }
    showProgress(TILES);
  }

  function showProgress(drawn) {
    find("wall-progress").hidden = drawn === TILES;
    find("wall-count").value = drawn;
    find("wall-drawn").textContent = `${drawn} of ${TILES} generated`;
  }

  // Disabled until it has been drawn.
  function makeTile(seed) {
    const [button, canvas] = ["button", "canvas"].map((name) => document.createElement(name));
    Object.assign(button, { type: "button", value: seed, disabled: true, onclick: () => set("seed", seed) });
    button.setAttribute("aria-label", `Seed ${seed}`);
    [canvas.width, canvas.height] = [clip.width, clip.height];
    button.append(canvas);
    return button;
  }

  function set(name, value) {
    find(name).value = value;
    draw();
  }

  function paint() {
    if (!seen.frames) return;
    paintFrame(find("canvas"), seen.frames, clip, seen.number);
    find("frame").value = seen.number;
    find("frame-number").textContent = `${seen.number + 1} of ${clip.frames}`;
    if (!find("wall").open) return;
    for (const { firstChild, frames } of find("tiles").children) if (frames) paintFrame(firstChild, frames, clip, seen.number);
  }

  function play(playing) {
    seen.playing = playing;
    find("play").textContent = playing ? "Pause" : "Play";
  }

  function step() {
    setTimeout(step, 1000 / (model.fps * Number(find("speed").value)));
    if (!seen.playing || !seen.frames) return;
    if (seen.number + 1 === clip.frames && !find("loop").checked) return void play(false);
    seen.number = (seen.number + 1) % clip.frames;
    paint();
  }

  function restore() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (!wanted.has("caption")) return false;
    find("caption").value = wanted.get("caption");
    find("seed").value = wanted.get("seed") ?? "0";
    find("other-caption").value = wanted.get("to") ?? "";
    find("other-seed").value = wanted.get("toseed") ?? find("seed").value;
    find("share").value = Number(wanted.get("share") ?? 0);
    find("share-number").textContent = find("share").value;
    find("between").open = wanted.has("to");
    draw();
    return true;
  }

  function save(ending, encode) {
    return async () => {
      if (!seen.frames) return;
      const { caption, seed } = seen.scene;
      saveFile(nameFile(caption, seed, ending), await encode(seen.frames));
    };
  }

  function listen() {
    find("form").addEventListener("submit", (event) => { event.preventDefault(); draw(); });
    for (const name of ["", "other-"]) {
      find(`${name}caption`).addEventListener("input", (event) => {
        showOptions(find(`${name}completions`), completeText(model, event.target.value.slice(0, 1000)));
        draw();
      });
      find(`${name}seed`).addEventListener("change", draw);
    }
    find("known").addEventListener("change", (event) => set("caption", event.target.value));
    find("again").addEventListener("click", () => set("seed", String(Math.floor(Math.random() * 1e6))));
    find("turn").addEventListener("click", () => set("caption", findOpposite(model, readSide("").read.tokens)));
    find("play").addEventListener("click", () => {
      if (!seen.playing && seen.number + 1 === clip.frames && !find("loop").checked) seen.number = 0;
      play(!seen.playing);
    });
    find("frame").addEventListener("input", (event) => { play(false); seen.number = Number(event.target.value); paint(); });
    find("share").addEventListener("input", (event) => { find("share-number").textContent = event.target.value; draw(); });
    find("between").addEventListener("toggle", draw);
    find("wall").addEventListener("toggle", () => { if (find("wall").open && seen.scene) drawWall(seen.scene); });
    window.addEventListener("hashchange", restore);
  }

  function listenToSaving() {
    const fps = () => model.fps * Number(find("speed").value);
    find("gif").addEventListener("click", save("gif", (frames) =>
      new Blob([encodeGif(frames, clip, { scale: chooseScale(clip), fps: fps() })], { type: "image/gif" })));
    find("png").addEventListener("click", save("png", (frames) => makeStrip(frames, clip)));
    const type = findVideoType();
    find("video").hidden = !type;
    find("video").addEventListener("click", save(type.includes("mp4") ? "mp4" : "webm", (frames) => recordVideo(frames, clip, fps(), type)));
  }

  find("frame").max = clip.frames - 1;
  showOptions(find("known"), model.examples);
  play(seen.playing);
  listen();
  listenToSaving();
  if (!restore()) {
    find("caption").value = model.examples[0] ?? "";
    find("seed").value = find("other-seed").value = "0";
    find("other-caption").value = model.examples[1] ?? "";
    draw();
  }
  step();
}

// The worker as a promise of clips, one after another; what is no longer `wanted` when its turn comes is left out.
function startStudio(model, engine, weights) {
  const worker = new Worker(URL.createObjectURL(new Blob([engine], { type: "text/javascript" })));
  const waiting = new Map();
  let last = Promise.resolve();
  let numbers = 0;
  worker.onmessage = ({ data }) => waiting.get(data.number)?.(data);
  worker.onerror = ({ message }) => waiting.forEach((answer) => answer({ error: message }));
  worker.postMessage({ description: model, weights: weights.trim() });
  const ask = (scene) => new Promise((answer) => {
    const number = ++numbers;
    waiting.set(number, (data) => { waiting.delete(number); answer(data); });
    worker.postMessage({ number, scene: { ids: scene.ids, seed: scene.seed, to: scene.to && { ids: scene.to.ids, seed: scene.to.seed }, share: scene.share } });
  });
  const draw = (scene, wanted) => (last = last.then(() => (wanted() ? ask(scene) : {})));
  return { draw };
}

function describeUnknown({ unknown }) {
  return unknown.map(({ word, near }) => {
    const known = near.length ? `similar words: ${near.join(", ")}` : "no similar known word";
    // Isolated, so that a word from right to left leaves the sentence around it as it is.
    return `The model has never seen \u2068“${word.slice(0, 60)}”\u2069; ${known}.`;
  }).join(" ");
}

function tell(place, text, fault) {
  place.textContent = text;
  place.classList.toggle("player-fault", Boolean(fault));
}

function showOptions(list, texts) {
  list.replaceChildren(...texts.map((text) => new Option(text, text)));
}

function writeLink(link, { caption, seed, to, share }) {
  const parts = { caption, seed, ...(to && { to: to.caption, toseed: to.seed, share: Math.round(share * 100) }) };
  link.href = `#${new URLSearchParams(parts)}`;
}

startPlayer();
