// The map: one cell a task, in the order of their indices, so that a bad node or a bad range of files is seen at once.
//
// The states are painted into a picture of one pixel a task, and that is drawn enlarged; no task is a node of the page.

import { STATE_OF, duration, el, icon, setText, short, whole } from "./dom.js";

const LARGEST = 16; // of a cell, in CSS pixels
const ASK_AFTER_MS = 90;

export function taskMap(parent, link, open) {
  const box = el("div", "stratos-map", parent);
  const canvas = el("canvas", "stratos-canvas", box, { tabindex: "0", role: "application", "aria-roledescription": "map of tasks" });
  const ring = el("div", "stratos-ring", box, { "aria-hidden": "true" });
  const tip = el("div", "stratos-tip", box, { role: "status" });
  const tipHead = el("div", "stratos-tip-head", tip);
  const tipSign = el("span", "", tipHead);
  const tipText = el("span", "", tipHead);
  const tipCommand = el("bdi", "stratos-tip-command", tip, { dir: "ltr" });
  const probes = STATE_OF.map((state) => el("span", "stratos-probe", box, { "data-state": state.name, "aria-hidden": "true" }));
  const pen = canvas.getContext("2d");
  const small = document.createElement("canvas");
  const smallPen = small.getContext("2d", { willReadFrequently: true });
  const names = new Map();
  let image = null;
  let pixels = null;
  let palette = new Uint32Array(9);
  let paletteKey = "";
  let grid = { cell: 0, columns: 1, lines: 1, gap: 0, width: 0 };
  let cursor = -1;
  let only = null; // the states that stand out; null for all
  let asking = 0;
  let frame = 0;
  let stale = "all";
  let drawn = 0; // how many tasks the picture shows

  ring.hidden = tip.hidden = true;

  function readPalette() {
    const colours = probes.map((probe) => getComputedStyle(probe).color);
    const ground = getComputedStyle(probes[0]).backgroundColor;
    const key = `${colours.join()} ${ground} ${only}`;
    if (key === paletteKey) return false;
    paletteKey = key;
    const dot = document.createElement("canvas");
    dot.width = dot.height = 1;
    const dotPen = dot.getContext("2d", { willReadFrequently: true });
    palette = Uint32Array.from(colours, (colour, state) => {
      dotPen.globalAlpha = 1;
      dotPen.fillStyle = ground;
      dotPen.fillRect(0, 0, 1, 1);
      dotPen.globalAlpha = only && !only.includes(state) ? 0.18 : 1;
      dotPen.fillStyle = colour;
      dotPen.fillRect(0, 0, 1, 1);
      const [r, g, b] = dotPen.getImageData(0, 0, 1, 1).data;
      return (255 << 24) | (b << 16) | (g << 8) | r;
    });
    return true;
  }

  // As large as there is room for: 100,000 tasks get more of it than 100.
  function measure() {
    const total = link.states.length;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(50, Math.floor(box.clientWidth * ratio));
    const room = (total <= 1000 ? 116 : total <= 10000 ? 200 : 330) * ratio;
    let cell = Math.floor(LARGEST * ratio);
    while (cell > 1 && Math.ceil(total / Math.floor(width / cell)) * cell > room) cell -= 1;
    const columns = Math.max(1, Math.floor(width / cell));
    const lines = Math.max(1, Math.ceil(total / columns));
    const gap = cell >= 8 * ratio ? Math.round(2 * ratio) : cell >= 4 ? Math.max(1, Math.round(ratio / 2)) : 0;
    const same = grid.cell === cell && grid.columns === columns && grid.lines === lines && grid.ratio === ratio;
    if (same && image) return;
    grid = { cell, columns, lines, gap, ratio };
    canvas.width = columns * cell;
    canvas.height = lines * cell;
    canvas.style.width = `${(columns * cell) / ratio}px`;
    canvas.style.height = `${(lines * cell) / ratio}px`;
    small.width = columns;
    small.height = lines;
    image = smallPen.createImageData(columns, lines);
    pixels = new Uint32Array(image.data.buffer);
    stale = "all";
  }

  function paint() {
    frame = 0;
    if (!box.clientWidth) return;
    measure();
    if (readPalette()) stale = "all";
    if (stale === null) return;
    const { states } = link;
    if (states.length !== drawn) stale = "all";
    drawn = states.length;
    if (stale === "all") {
      pixels.fill(0);
      for (let task = 0; task < states.length; task += 1) pixels[task] = palette[states[task]];
    } else for (const task of stale) pixels[task] = palette[states[task]];
    stale = null;
    smallPen.putImageData(image, 0, 0);
    const { cell, columns, lines, gap } = grid;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, columns * cell, lines * cell);
    if (gap) {
      for (let x = 1; x <= columns; x += 1) pen.clearRect(x * cell - gap, 0, gap, canvas.height);
      for (let y = 1; y <= lines; y += 1) pen.clearRect(0, y * cell - gap, canvas.width, gap);
    }
    if (cell - gap >= 9 * grid.ratio) paintSigns(states);
  }

  // Where there is room for them: never a colour alone.
  function paintSigns(states) {
    const { cell, columns, gap, ratio } = grid;
    const size = (cell - gap) / 16;
    pen.lineWidth = 1.9;
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = pen.fillStyle = getComputedStyle(probes[0]).backgroundColor;
    for (let task = 0; task < states.length; task += 1) {
      const state = STATE_OF[states[task]];
      if (state.name === "queued" || state.name === "finished") continue;
      pen.save();
      pen.translate((task % columns) * cell, Math.floor(task / columns) * cell);
      pen.scale(size, size);
      const path = new Path2D(state.glyph);
      if (state.solid) pen.fill(path);
      else pen.stroke(path);
      pen.restore();
    }
    pen.lineWidth = ratio;
  }

  function schedule() {
    if (!frame) frame = requestAnimationFrame(paint);
  }

  function taskAt(event) {
    const at = canvas.getBoundingClientRect();
    const step = grid.cell / grid.ratio;
    const column = Math.floor((event.clientX - at.left) / step);
    const line = Math.floor((event.clientY - at.top) / step);
    const task = line * grid.columns + column;
    return column >= 0 && column < grid.columns && line >= 0 && task < link.states.length ? task : -1;
  }

  function point(task) {
    clearTimeout(asking);
    cursor = task;
    ring.hidden = tip.hidden = task < 0;
    if (task < 0) return;
    const step = grid.cell / grid.ratio;
    const x = (task % grid.columns) * step;
    const y = Math.floor(task / grid.columns) * step;
    const size = Math.max(5, step - grid.gap / grid.ratio);
    ring.style.transform = `translate(${x - 2}px, ${y - 2}px)`;
    ring.style.width = ring.style.height = `${size + 4}px`;
    describe(task);
    const right = x > box.clientWidth - 330;
    tip.style.left = right ? "auto" : `${x + size + 10}px`;
    tip.style.right = right ? `${box.clientWidth - x + 8}px` : "auto";
    tip.style.top = `${y + size + 8}px`;
    if (!names.has(task)) asking = setTimeout(() => name(task), ASK_AFTER_MS);
  }

  function describe(task) {
    const state = STATE_OF[link.states[task]];
    const row = names.get(task);
    if (tipSign.dataset.state !== state.name) tipSign.replaceChildren(icon(state));
    tipSign.dataset.state = state.name;
    const more = row && row[5] !== null && row[1] >= 4 ? `, ${duration(row[5])}` : "";
    setText(tipText, `task ${whole.format(task)}, ${state.name}${row && row[3] ? ` on ${row[3]}` : ""}${more}`);
    setText(tipCommand, row ? row[9] || row[2] : "…");
  }

  async function name(task) {
    try {
      const [{ row }] = await link.ask({ ask: "name", task });
      if (names.size > 500) names.clear();
      names.set(task, row.map(short));
      if (cursor === task) describe(task);
    } catch {
      // the tip says what is known without it
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const task = taskAt(event);
    if (task !== cursor) point(task);
  });
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("blur", () => point(-1));
  canvas.addEventListener("click", (event) => {
    const task = taskAt(event);
    if (task >= 0) open(task, canvas);
  });
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible") && cursor < 0 && link.states.length) point(0);
  });
  canvas.addEventListener("keydown", (event) => {
    const last = link.states.length - 1;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.columns, ArrowDown: grid.columns,
      PageUp: -10 * grid.columns, PageDown: 10 * grid.columns, Home: -Infinity, End: Infinity,
    };
    if (event.key in steps && last >= 0) point(Math.max(0, Math.min(last, Math.max(0, cursor) + steps[event.key])));
    else if (event.key === "f") { // the next one that ended badly
      for (let i = 1; i <= last + 1; i += 1) {
        const task = (Math.max(cursor, 0) + i) % (last + 1);
        if ([5, 7].includes(link.states[task])) {
          point(task);
          break;
        }
      }
    } else if ((event.key === "Enter" || event.key === " ") && cursor >= 0) open(cursor, canvas);
    else if (event.key === "Escape") point(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const theme = new MutationObserver(() => schedule());
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  const sizes = new ResizeObserver(() => schedule());
  sizes.observe(box);

  return {
    node: box,
    show(changed, view) {
      if (changed === "all") names.clear();
      else if (changed) for (const task of changed) names.delete(task);
      if (changed === "all" || stale === "all") stale = "all";
      else if (changed) stale = stale && stale.length > 20000 ? "all" : stale ? [...stale, ...changed] : changed;
      if (changed && cursor >= 0 && cursor < link.states.length) describe(cursor);
      canvas.setAttribute("aria-label", `Map of ${whole.format(link.states.length)} tasks. Arrow keys go from task to task, F to the next failure, Enter opens.`);
      if (view) schedule();
    },
    stress(states) {
      only = states;
      schedule();
    },
    repaint: schedule,
    destroy() {
      clearTimeout(asking);
      cancelAnimationFrame(frame);
      theme.disconnect();
      sizes.disconnect();
    },
  };
}
