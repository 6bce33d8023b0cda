"use strict";
// All clips show one frame number together. The rules that place them are changed, not a variable that all elements of
// the page would inherit: a page of many runs has thousands of those, and each would be looked at again for every frame.
(() => {
  const bar = document.querySelector(".playbar");
  if (!bar) return;
  const root = document.documentElement;
  const [play, slider, speed, size] = ["play", "frame", "speed", "size"].map((id) => document.getElementById(id));
  const rules = [...document.styleSheets[0].cssRules].filter((rule) => rule.selectorText?.startsWith(".scripted .shape-"));
  const lengths = rules.map((rule) => Number(/shape-(\d+)/.exec(rule.selectorText)[1]));
  const beat = parseFloat(getComputedStyle(root).getPropertyValue("--beat"));
  let frame = 0;
  let timer = 0;
  const show = () => {
    rules.forEach((rule, place) => {
      const last = lengths[place] - 1;
      rule.style.objectPosition = `50% ${last ? (100 * (frame % (last + 1))) / last : 0}%`;
    });
    slider.value = frame % (Number(slider.max) + 1);
  };
  const run = (playing) => {
    clearInterval(timer);
    timer = playing ? setInterval(() => { if (!document.hidden) { frame += 1; show(); } }, beat / Number(speed.value)) : 0;
    play.textContent = playing ? "Pause all" : "Play all";
  };
  play.addEventListener("click", () => run(!timer));
  slider.addEventListener("input", () => { run(false); frame = Number(slider.value); show(); });
  speed.addEventListener("change", () => run(timer !== 0));
  size.addEventListener("change", () => root.style.setProperty("--scale", size.value));
  size.value = getComputedStyle(root).getPropertyValue("--scale").trim();
  root.classList.add("scripted");
  bar.hidden = false;
  show();
  run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
})();

// A link that a narrow screen cuts off is brought into sight when the keyboard reaches it; browsers leave it as it is.
document.querySelector(".contents").addEventListener("focusin", ({ target }) => {
  target.scrollIntoView({ block: "nearest", inline: "nearest" });
});

// Charts: uPlot draws, zooms and tells values; the colours are those of the page.
(() => {
  const COLOURS = 6;
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tell = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(4))));
  const zoom = (least, most) => {
    for (const plot of drawn.values()) plot.setScale("x", { min: least ?? plot.data[0][0], max: most ?? plot.data[0].at(-1) });
  };
  const draw = ({ key, series, rows }) => {
    const place = document.querySelector(`[data-chart="${CSS.escape(key)}"]`);
    drawn.get(key)?.destroy();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const plot = new uPlot({
      width: place.clientWidth,
      height: 240,
      scales: { x: { time: false } },
      cursor: { sync: { key: "clips" }, drag: { x: true, y: false }, focus: { prox: 24 } },
      focus: { alpha: series.length > 2 ? 0.25 : 1 }, // of many, all but the one pointed at fade
      // Where a colour comes a second time, its line is dashed and its marker is hollow.
      legend: { markers: {
        fill: (own, number) => (number > COLOURS ? "transparent" : own.series[number].stroke(own, number)),
        dash: (_, number) => (number > COLOURS ? "dashed" : "solid"),
      } },
      axes: [{ ...axis, size: 32 }, { ...axis, size: 58 }],
      series: [
        { label: "clips", value: (_, value) => tell(value) },
        ...series.map((label, number) => ({
          label, width: 2, stroke: colour(`--series-${(number % COLOURS) + 1}`), dash: number < COLOURS ? [] : [6, 4],
          spanGaps: true, points: { show: rows.length < 40, size: 5 }, value: (_, value) => tell(value),
        })),
      ],
      hooks: { setSelect: [(own) => {
        if (own.select.width > 1) zoom(own.posToVal(own.select.left, "x"), own.posToVal(own.select.left + own.select.width, "x"));
      }] },
    }, [0, ...series.map((_, number) => number + 1)].map((column) => rows.map((row) => row[column])), place);
    plot.over.addEventListener("dblclick", () => zoom());
    drawn.set(key, plot);
  };
  const steer = (event, key) => {
    const plot = drawn.get(key);
    const { min, max } = plot.scales.x;
    const at = plot.cursor.idx ?? 0;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (move) {
      const next = Math.min(Math.max(at + move, 0), plot.data[0].length - 1);
      if (plot.data[0][next] < min || plot.data[0][next] > max) return;
      plot.setCursor({ left: plot.valToPos(plot.data[0][next], "x"), top: plot.over.clientHeight / 2 });
    } else if (factor) {
      const middle = plot.cursor.idx === null ? (min + max) / 2 : plot.data[0][at];
      const half = ((max - min) * factor) / 2;
      zoom(Math.max(middle - half, plot.data[0][0]), Math.min(middle + half, plot.data[0].at(-1)));
    } else if (event.key === "0") zoom();
    else return;
    event.preventDefault();
  };
  const drawAll = () => charts.forEach(draw);
  for (const { key } of charts) {
    const place = document.querySelector(`[data-chart="${CSS.escape(key)}"]`);
    place.addEventListener("keydown", (event) => steer(event, key));
    new ResizeObserver(() => {
      const plot = drawn.get(key);
      if (plot && place.clientWidth && plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 240 });
    }).observe(place);
  }
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
