// The blind test: pairs one after another, answers that stay in the page until they are saved as a table.

const COLUMNS = ["test", "person", "pair", "answer", "real"];

function startBlindTest() {
  const find = (name) => document.getElementById(`blind-${name}`);
  const { test, clip, fps, pairs } = JSON.parse(find("pairs").textContent);
  const kept = `blind-test-${test}`;
  const pictures = {};
  let answers = recall(kept, pairs.length);
  let frame = 0;
  let playing;

  function show() {
    const place = answers.length;
    const ended = place === pairs.length;
    find("pair").disabled = ended;
    find("caption").textContent = ended ? "" : pairs[place].caption;
    find("caption").dir = "auto";
    find("save").disabled = find("restart").disabled = !place;
    find("state").textContent = ended ? describeResult() : `Pair ${place + 1} of ${pairs.length}`;
    for (const side of ["left", "right"]) {
      pictures[side] = null;
      if (!ended) load(side, pairs[place][side]);
    }
  }

  function describeResult() {
    const right = answers.filter((answer, place) => answer === pairs[place].real).length;
    return `${right} of ${pairs.length} correct; guessing gives about ${Math.round(pairs.length / 2)}. Save the answers to analyse them with t2v blindtest.`;
  }

  function load(side, source) {
    const picture = new Image();
    picture.onload = () => {
      pictures[side] = picture;
      paint();
    };
    picture.src = source;
  }

  // Both start together, so that neither is known by when it appears.
  function paint() {
    for (const side of ["left", "right"]) {
      const canvas = find(side);
      [canvas.width, canvas.height] = [clip.width, clip.height];
      if (pictures.left && pictures.right) canvas.getContext("2d").drawImage(pictures[side], 0, -frame * clip.height);
    }
  }

  function choose(side) {
    if (answers.length === pairs.length) return;
    answers.push(side);
    remember(kept, answers);
    frame = 0;
    show();
  }

  function save() {
    const person = find("person").value.trim() || "anonymous";
    const rows = answers.map((answer, place) => [test, person, place + 1, answer, pairs[place].real]);
    const text = [COLUMNS, ...rows].map((row) => row.map(quoteCell).join(",")).join("\r\n");
    saveFile(`blind-test-${person.replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`, new Blob([`${text}\r\n`], { type: "text/csv" }));
  }

  function play(wanted) {
    playing = wanted;
    find("play").textContent = playing ? "Pause" : "Play";
  }

  function step() {
    setTimeout(step, 1000 / fps);
    if (!playing) return;
    frame = (frame + 1) % clip.frames;
    paint();
  }

  for (const side of ["left", "right"]) find(`choose-${side}`).addEventListener("click", () => choose(side));
  find("save").addEventListener("click", save);
  find("play").addEventListener("click", () => play(!playing));
  find("restart").addEventListener("click", () => {
    answers = [];
    remember(kept, answers);
    show();
  });
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  show();
  step();
}

// Spreadsheets take what begins with these signs for a formula.
function quoteCell(value) {
  const text = String(value).replace(/^(?=[=+@-])/, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Answers outlive a reload where the browser keeps anything of a file.
function recall(key, most) {
  try {
    const answers = JSON.parse(localStorage.getItem(key) ?? "[]");
    return answers.filter((answer) => answer === "left" || answer === "right").slice(0, most);
  } catch {
    return [];
  }
}

function remember(key, answers) {
  try {
    localStorage.setItem(key, JSON.stringify(answers));
  } catch {
    // They stay in the page.
  }
}

startBlindTest();
