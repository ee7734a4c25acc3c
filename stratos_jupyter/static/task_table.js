// The table: a row a task, of which only those on the screen exist and are ever asked for. The kernel filters, sorts
// and pages; a window of rows is kept around what is seen.

import { ENDED_FROM, GONE, STATE_OF, brief, button, el, icon, leaveFocus, numbersOf, rangesOf, setAttr, setText, short, tasksText, whole } from "./dom.js";

const ROW = 28; // pixels, as the style sheet has it
const TALLEST = 6_000_000; // pixels: browsers don't go on for ever; beyond it the scroll bar is coarser
const AROUND = 30; // rows asked for above and below
const KEPT = 800;
const TYPING_MS = 200;
const PACE_MS = 200; // between two requests while it is scrolled
const RENEW_MS = 1000;

const COLUMNS = [
  ["task", "#", "Index"], ["state", "State", "State"], ["command", "Command", "Command"], ["node", "Node", "Node"],
  ["attempt", "Try", "Attempt"], ["time", "Time", "Run time"], ["exit", "Exit", "Exit code"],
  ["output", "Output", "First line of output"],
];
const FILTERS = [
  ["", "all states", []], ["bad", "failed or lost", numbersOf("failed", "lost")],
  ["open", "not ended", numbersOf("queued", "staging", "running", "unreachable")],
  ...STATE_OF.slice(0, 8).map((state, number) => [state.name, state.name, [number]]),
];

export function taskTable(parent, link, { open, act, failed }) {
  const root = el("div", "stratos-table", parent);
  const tools = el("div", "stratos-tools", root);
  const search = el("input", "stratos-input stratos-search", tools, {
    type: "search", placeholder: "Search commands, or #17 #20-30", "aria-label": "Search commands", spellcheck: "false",
  });
  const states = el("select", "stratos-input", tools, { "aria-label": "State" });
  for (const [value, text] of FILTERS) el("option", "", states, { value }).textContent = text;
  const nodes = el("select", "stratos-input", tools, { "aria-label": "Node" });
  el("option", "", nodes, { value: "" }).textContent = "all nodes";
  const group = el("span", "stratos-chip", tools);
  const groupText = el("bdi", "", group);
  const ungroup = button(group, "×", "bare", () => filter({ group: "", groupText: "" }));
  ungroup.setAttribute("aria-label", "Show other tasks too");
  const inputs = button(tools, "Inputs only", "toggle", () => {
    showInputs = !showInputs;
    setAttr(inputs, "aria-pressed", showInputs);
    redraw();
  });
  const found = el("span", "stratos-found", tools, { role: "status" });
  group.hidden = inputs.hidden = true;

  const frame = el("div", "stratos-grid", root, {
    role: "grid", tabindex: "0", "aria-label": "Tasks", "aria-multiselectable": "true", "aria-colcount": COLUMNS.length + 1,
  });
  const head = el("div", "stratos-row stratos-row-head", el("div", "", frame, { role: "rowgroup" }), { role: "row", "aria-rowindex": "1" });
  const all = el("span", "stratos-check", el("span", "stratos-cell", head, { role: "columnheader" }));
  el("span", "stratos-unseen", all.parentNode).textContent = "Selected";
  const sorters = COLUMNS.map(([name, text, title]) => {
    const cell = el("span", `stratos-cell stratos-col-${name}`, head, { role: "columnheader" });
    const sorter = button(cell, text, "sort", () => sortBy(name));
    sorter.title = `Sort by ${title.toLowerCase()}`;
    sorter.tabIndex = -1;
    return cell;
  });
  const body = el("div", "stratos-rows", frame, { role: "rowgroup" });
  const empty = el("div", "stratos-empty", root);
  empty.hidden = true;

  const chosen = el("div", "stratos-chosen", root);
  const chosenText = el("span", "stratos-chosen-text", chosen, { role: "status" });
  button(chosen, "Relaunch", "plain", () => act("relaunch", picked()));
  button(chosen, "Relaunch with more memory…", "plain", () => act("relaunchWithMemory", picked()));
  button(chosen, "Kill", "plain", () => act("kill", picked()));
  button(chosen, "Clear", "bare", () => select([], true));
  chosen.hidden = true;

  let query = { states: "", node: "", text: "", group: "", groupText: "", sort: "task", down: false };
  let total = 0;
  let members = 0; // tasks of the job: without those that a cell that was run again has left behind
  let rows = new Map(); // by place in the order
  let epoch = 0;
  let waiting = null; // the place from which rows are asked for
  let refused = false; // the kernel has none to give: it is asked again when something changes, or the table is scrolled
  let shown = false;
  let showInputs = false;
  let cursor = 0;
  let anchor = 0;
  let painting = 0;
  let renewing = 0;
  let newer = 0;
  let typing = 0;
  let renewedAt = 0;
  let overdue = false; // something changed since the rows that are on their way were asked for
  let askedAt = -Infinity;
  let pacing = 0;
  const reader = Math.random().toString(36).slice(2);
  const selection = new Set();
  const pool = [];

  const count = () => link.states.reduce((n, state) => n + (STATE_OF[state] !== GONE), 0);
  const plain = () => !query.states && !query.node && !query.text && !query.group;
  const kernelQuery = () => ({
    states: FILTERS.find(([name]) => name === query.states)[2], node: query.node, text: query.text, group: query.group,
    sort: query.sort, down: query.down,
  });

  // -- where things are -------------------------------------------------------------------------------

  const tall = () => Math.min(TALLEST, total * ROW);
  const seen = () => Math.max(1, Math.ceil((frame.clientHeight - ROW) / ROW));
  // Beyond what browsers can scroll, a pixel of the scroll bar stands for several rows.
  const scale = () => (total * ROW > TALLEST ? (total * ROW - frame.clientHeight) / (TALLEST - frame.clientHeight) : 1);
  const top = () => (scale() === 1 ? frame.scrollTop : frame.scrollTop * scale());

  function resize() {
    const height = `${tall()}px`;
    if (body.style.height !== height) body.style.height = height;
    setAttr(frame, "aria-rowcount", total + 1);
    setText(found, plain() ? tasksText(total) : `${whole.format(total)} of ${tasksText(members)}`);
    empty.hidden = total > 0 || waiting !== null;
    setText(empty, members ? "No task is like this." : "No tasks yet.");
  }

  function schedule() {
    if (!painting && shown) painting = requestAnimationFrame(paint);
  }

  function paint() {
    painting = 0;
    if (!shown || !frame.clientHeight) return;
    const count = Math.min(total, seen() + 2);
    const first = Math.max(0, Math.min(Math.floor(top() / ROW), total - count));
    while (pool.length < count) pool.push(makeRow());
    const offset = scale() === 1 ? 0 : frame.scrollTop - top();
    const used = new Set();
    for (let place = first; place < first + count; place += 1) {
      const row = pool[place % pool.length];
      used.add(row);
      drawRow(row, place, offset);
    }
    for (const row of pool) if (!used.has(row) && row.place !== -1) hideRow(row);
    setAttr(frame, "aria-activedescendant", rowAt(cursor) ? rowAt(cursor).node.id : "");
    want(first, first + count);
  }

  const rowAt = (place) => pool.find((row) => row.place === place);

  function makeRow() {
    const node = el("div", "stratos-row", body, { role: "row", id: `stratos-r-${Math.random().toString(36).slice(2)}` });
    const cells = {};
    const check = el("span", "stratos-check", el("span", "stratos-cell", node, { role: "gridcell" }));
    for (const [name] of COLUMNS) cells[name] = el(name === "state" ? "span" : "bdi", `stratos-cell stratos-col-${name}`, node, { role: "gridcell", dir: "ltr" });
    const word = el("span", "", cells.state);
    return { node, cells, check, word, state: "", mark: "", place: -1, data: null, y: null };
  }

  function hideRow(row) {
    row.place = -1;
    row.data = null;
    row.node.hidden = true;
  }

  function drawRow(row, place, offset) {
    const data = rows.get(place) ?? null;
    const y = place * ROW + offset;
    if (row.y !== y) {
      row.node.style.transform = `translateY(${y}px)`;
      row.y = y;
    }
    if (row.place !== place) {
      row.place = place;
      row.node.hidden = false;
      setAttr(row.node, "aria-rowindex", place + 2);
    }
    const known = plain() && query.sort === "task" && members === link.states.length;
    const task = data ? data[0] : known ? (query.down ? total - 1 - place : place) : null;
    const picked = task !== null && selection.has(task);
    setAttr(row.node, "aria-selected", picked);
    row.node.classList.toggle("stratos-here", place === cursor);
    const mark = `${picked} ${showInputs}`;
    if (row.data === data && row.mark === mark && data !== null) return;
    row.data = data;
    row.mark = mark;
    row.node.classList.toggle("stratos-blank", data === null);
    const { cells } = row;
    setText(cells.task, task === null ? "" : whole.format(task));
    const state = task === null ? null : data ? data[1] : link.states[task];
    setState(row, state);
    if (!data) {
      for (const name of ["command", "node", "attempt", "time", "exit", "output"]) setText(cells[name], "");
      return;
    }
    const [, , command, node, attempt, wall, exit, line, kind, values] = data;
    setText(cells.command, showInputs && values ? values : command);
    cells.command.title = command;
    setText(cells.node, node);
    setText(cells.attempt, attempt > 0 ? String(attempt) : "");
    setText(cells.time, wall === null ? "" : brief(wall + (state < ENDED_FROM ? (performance.now() - data.at) / 1000 : 0)));
    setText(cells.exit, exit === null ? "" : exit < 0 ? `sig ${-exit}` : String(exit));
    setText(cells.output, line);
    cells.output.title = line;
    cells.output.classList.toggle("stratos-faint", kind === "err");
    cells.exit.classList.toggle("stratos-wrong", exit !== null && exit !== 0);
  }

  function setState(row, number) {
    const name = number === null || number === undefined ? "" : STATE_OF[number].name;
    if (row.state === name) return;
    row.state = name;
    setText(row.word, name);
    row.cells.state.querySelector(".stratos-sign")?.remove();
    if (name) row.cells.state.prepend(icon(STATE_OF[number]));
  }

  function redraw() {
    for (const row of pool) row.data = undefined;
    schedule();
  }

  // -- asking -----------------------------------------------------------------------------------------

  function want(first, after) {
    if (waiting !== null || refused) return;
    let missing = -1;
    for (let place = first; place < after; place += 1) {
      if (!rows.has(place)) {
        missing = place;
        break;
      }
    }
    if (missing < 0 || pacing) return;
    const early = askedAt + PACE_MS - performance.now();
    if (early > 0) {
      pacing = setTimeout(() => {
        pacing = 0;
        schedule();
      }, early);
    } else fetch(Math.max(0, first - AROUND), Math.min(total, after + AROUND));
  }

  async function fetch(first, after) {
    const mine = epoch;
    waiting = first;
    overdue = false;
    askedAt = performance.now();
    try {
      const [page] = await link.ask({ ask: "rows", reader, query: kernelQuery(), first, count: Math.max(1, after - first) });
      if (mine !== epoch) return;
      refused = false;
      if (page.total !== total) {
        total = page.total;
        for (const place of rows.keys()) if (place >= total) rows.delete(place);
      }
      const at = performance.now();
      page.rows.map((row) => row.map(short)).forEach((row, i) => {
        row.at = at;
        rows.set(page.first + i, row);
      });
      if (rows.size > KEPT) for (const place of rows.keys()) if (place < first - KEPT / 3 || place > after + KEPT / 3) rows.delete(place);
      clearTimeout(newer);
      if (page.kept) newer = setTimeout(renew, 1000 * page.kept); // their order is an older one until then
      listNodes(page.nodes.map((name) => name.slice(0, 200)));
      inputs.hidden = !page.inputs.length;
    } catch (error) {
      if (mine === epoch && error.message !== "closed") {
        refused = true;
        failed(error);
      }
    } finally {
      if (mine === epoch) {
        waiting = null;
        renewedAt = performance.now();
        if (overdue) renew();
        resize();
        schedule();
      }
    }
  }

  // Begin with another query; or, seen again, with the same one, whose rows stay until newer ones are there.
  function restart(again) {
    epoch += 1;
    waiting = null;
    if (!again) {
      rows = new Map();
      frame.scrollTop = 0;
      cursor = anchor = 0;
    }
    members = count();
    if (plain()) total = members;
    const first = Math.max(0, Math.floor(top() / ROW) - AROUND);
    const after = first + seen() + 2 + 2 * AROUND;
    for (const place of rows.keys()) if (place < first || place >= after) rows.delete(place);
    resize();
    if (shown) fetch(first, after);
    schedule();
  }

  // What is seen may have changed: ask again for it, not more than once a second.
  function renew() {
    overdue = overdue || waiting !== null;
    if (renewing || !shown) return;
    renewing = setTimeout(() => {
      renewing = 0;
      if (!shown || waiting !== null) return;
      const first = Math.floor(top() / ROW);
      fetch(first, Math.min(Math.max(total, first + 1), first + seen() + 2));
      for (const place of rows.keys()) if (place < first - AROUND || place > first + seen() + AROUND) rows.delete(place);
    }, Math.max(0, renewedAt + RENEW_MS - performance.now()));
  }

  function listNodes(names) {
    const old = [...nodes.options].slice(1).map((option) => option.value);
    if (old.length === names.length && old.every((name, i) => name === names[i])) return;
    while (nodes.options.length > 1) nodes.options[1].remove();
    for (const name of names) el("option", "", nodes, { value: name }).textContent = name;
    nodes.value = query.node;
  }

  // -- filtering, sorting -----------------------------------------------------------------------------

  function filter(changes) {
    query = { ...query, ...changes };
    link.ui.query = query;
    markSort();
    states.value = query.states;
    nodes.value = query.node;
    if (document.activeElement !== search) search.value = query.text;
    leaveFocus(group, frame, () => { group.hidden = !query.group; });
    setText(groupText, query.groupText);
    restart();
    onFilter?.(FILTERS.find(([name]) => name === query.states)[2]);
  }

  function sortBy(name) {
    filter({ sort: name, down: query.sort === name && !query.down });
  }

  function markSort() {
    COLUMNS.forEach(([name], i) => {
      if (name === query.sort) sorters[i].setAttribute("aria-sort", query.down ? "descending" : "ascending");
      else sorters[i].removeAttribute("aria-sort");
    });
  }

  let onFilter = null;
  states.addEventListener("change", () => filter({ states: states.value }));
  nodes.addEventListener("change", () => filter({ node: nodes.value }));
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => filter({ text: search.value.trim() }), TYPING_MS);
  });

  // -- selection --------------------------------------------------------------------------------------

  function select(tasks, anew) {
    if (anew) selection.clear();
    for (const task of tasks) selection.add(task);
    leaveFocus(chosen, frame, () => { chosen.hidden = !selection.size; });
    setText(chosenText, `${whole.format(selection.size)} selected`);
    all.dataset.all = selection.size > 0 && selection.size >= total ? "all" : selection.size ? "some" : "none";
    redraw();
  }

  const picked = () => ({
    count: selection.size,
    tasks: rangesOf([...selection].sort((a, b) => a - b)),
    states: [...selection].map((task) => link.states[task]),
    what: `the ${tasksText(selection.size)} that you selected`,
  });

  function toggle(place) {
    const task = rows.get(place)?.[0];
    if (task === undefined) return;
    if (selection.has(task)) selection.delete(task);
    else selection.add(task);
    anchor = place;
    select([], false);
  }

  // The kernel knows which tasks stand there, also where no row has been asked for. `toggled`: none, if all are selected.
  async function range(from, to, toggled = false) {
    const [first, last] = from < to ? [from, to] : [to, from];
    try {
      const [, [data]] = await link.ask({ ask: "tasks", query: kernelQuery(), first, count: last - first + 1 });
      const tasks = new Uint32Array(data.slice().buffer);
      select(toggled && tasks.every((task) => selection.has(task)) ? [] : tasks, true);
    } catch (error) {
      failed(error);
    }
  }

  all.parentNode.addEventListener("click", () => total && range(0, total - 1, true));

  // -- moving -----------------------------------------------------------------------------------------

  function go(place, extend) {
    if (!total) return;
    cursor = Math.max(0, Math.min(total - 1, place));
    const view = frame.clientHeight - ROW;
    const y = (cursor * ROW) / scale();
    if (scale() === 1) {
      if (y < frame.scrollTop) frame.scrollTop = y;
      else if (y + ROW > frame.scrollTop + view) frame.scrollTop = y + ROW - view;
    } else if (cursor * ROW < top() || (cursor + 1) * ROW > top() + view) frame.scrollTop = y;
    if (extend) range(anchor, cursor);
    else anchor = cursor;
    schedule();
  }

  frame.addEventListener("keydown", (event) => {
    if (event.target !== frame) return;
    const page = Math.max(1, seen() - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) go(cursor + moves[event.key], event.shiftKey);
    else if (event.key === " ") toggle(cursor);
    else if (event.key === "Enter" && rows.has(cursor)) open(rows.get(cursor)[0], frame);
    else if (event.key === "Escape" && selection.size) select([], true);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) range(0, total - 1);
    else if (event.key >= "1" && event.key <= "8") sortBy(COLUMNS[Number(event.key) - 1][0]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  frame.addEventListener("scroll", () => {
    refused = false;
    schedule();
  }, { passive: true });
  body.addEventListener("click", (event) => {
    const row = pool.find(({ node }) => node.contains(event.target));
    if (!row || row.place < 0) return;
    cursor = row.place;
    if (event.shiftKey) range(anchor, row.place);
    else if (event.ctrlKey || event.metaKey || event.target.closest(".stratos-cell") === row.node.firstChild) toggle(row.place);
    else if (rows.has(row.place)) open(rows.get(row.place)[0], frame);
    schedule();
  });
  const sizes = new ResizeObserver(schedule);
  sizes.observe(frame);
  markSort();
  setAttr(inputs, "aria-pressed", false);

  return {
    node: root,
    show(changed) {
      if (!changed) return;
      members = count();
      if (plain() && total !== members) {
        total = members;
        resize();
        schedule();
      }
      if (changed === "all" || !plain() || query.sort !== "task") return renew();
      const here = new Set([...rows.values()].map((row) => row[0]));
      if (changed.some((task) => here.has(task))) renew();
    },
    second() {
      if (!shown) return;
      for (const row of pool) if (row.data && row.data[1] === 2) row.data = undefined;
      schedule();
    },
    seen(is) {
      shown = is;
      if (is) restart(true);
    },
    filter,
    reload: () => renew(),
    clear: () => select([], true),
    whenFiltered(callback) {
      onFilter = callback;
    },
    destroy() {
      cancelAnimationFrame(painting);
      for (const timer of [renewing, newer, typing, pacing]) clearTimeout(timer);
      sizes.disconnect();
    },
  };
}
