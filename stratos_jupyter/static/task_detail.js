// One task: its command, its attempts, what it wrote and writes, and what can be done about it.

import { ENDED_FROM, STATE_OF, brief, button, bytesText, el, icon, leaveFocus, memText, moment, setAttr, setText, short, spelled, whole } from "./dom.js";
import { paintOutput } from "./ansi.js";

const FOLLOW_MS = 1000;
const MOST_COMMAND = 65536; // characters that are shown; all of them are copied

export function taskDetail(parent, link, { back, act, failed, go }) {
  const root = el("section", "stratos-task", parent, { tabindex: "-1" });
  root.hidden = true;
  const head = el("div", "stratos-task-head", root);
  button(head, "‹ Back", "bare", () => back());
  const title = el("span", "stratos-task-title", head, { role: "heading", "aria-level": "3" });
  const mark = el("span", "stratos-task-state", head);
  const told = el("span", "stratos-task-told", head);
  const relaunch = button(head, "Relaunch", "plain", () => act("relaunch", self()));
  const memory = button(head, "With more memory…", "plain", () => act("relaunchWithMemory", self()));
  const kill = button(head, "Kill", "plain", () => act("kill", self()));

  const commandBox = el("div", "stratos-code", root);
  const command = el("pre", "stratos-command", commandBox, { tabindex: "0", "aria-label": "Command" });
  const copy = button(commandBox, "Copy", "small", copyCommand);
  const inputs = el("div", "stratos-inputs", root);
  const links = el("div", "stratos-links", root);

  const attempts = el("div", "stratos-attempts", root, { role: "table", "aria-label": "Attempts" });
  const note = el("div", "stratos-monitor", root);
  const streams = {};
  for (const name of ["stdout", "stderr"]) {
    const box = el("div", "stratos-stream", root);
    const bar = el("div", "stratos-stream-head", box);
    el("span", "stratos-name", bar).textContent = name;
    const size = el("span", "stratos-note", bar);
    const more = button(bar, "More", "small", () => {
      bytes = most;
      ask(true);
    });
    const pre = el("pre", "stratos-output", box, { tabindex: "0", role: "log", "aria-label": name, "aria-live": "off" });
    streams[name] = { box, size, more, pre, text: null };
  }

  let task = -1;
  let attempt = null; // the one that was chosen; null: the newest
  let news = null;
  let asking = false;
  let again = false;
  let timer = 0;
  let bytes = 0;
  let most = 0;
  let shown = false;
  let have = false;
  const reader = Math.random().toString(36).slice(2);

  const self = () => ({ count: 1, tasks: [[task, task]], states: [link.states[task]], what: `task ${whole.format(task)}`, mem: news?.mem });

  async function ask(anew) {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    const mine = task;
    try {
      const [answer] = await link.ask({ ask: "task", task, attempt, bytes, reader: reader, have: have && !anew });
      if (mine === task) draw(answer);
    } catch (error) {
      if (mine === task && error.message !== "closed") failed(error);
    } finally {
      asking = false;
      if (again) {
        again = false;
        ask(true);
      }
    }
  }

  function follow() {
    clearTimeout(timer);
    timer = 0;
    if (shown && news && link.states[task] < ENDED_FROM) timer = setTimeout(() => ask(false).then(follow), FOLLOW_MS);
  }

  function draw(answer) {
    news = answer;
    most = answer.most;
    have = true;
    const state = STATE_OF[answer.superseded ? 8 : answer.state];
    setText(title, `Task ${whole.format(task)}`);
    if (mark.dataset.state !== state.name) mark.replaceChildren(icon(state), document.createTextNode(state.name));
    mark.dataset.state = state.name;
    const ended = answer.state >= ENDED_FROM;
    setText(told, ended && answer.attempts.length ? short(answer.attempts[answer.attempts.length - 1].why) : "");
    leaveFocus(root, root, () => {
      kill.hidden = ended;
      relaunch.hidden = memory.hidden = answer.superseded;
    });
    setText(memory, answer.mem ? "With more memory…" : "With a memory limit…");
    setText(command, spelled(answer.command.slice(0, MOST_COMMAND)) + (answer.cut || answer.command.length > MOST_COMMAND ? " …" : ""));
    drawInputs(answer.inputs);
    drawLinks(answer);
    drawAttempts(answer);
    note.hidden = !answer.note;
    setText(note, answer.note ? `So far: ${short(answer.note)}` : "");
    for (const [name, stream] of Object.entries(streams)) drawStream(name, stream, answer);
    follow();
  }

  function drawInputs(list) {
    inputs.hidden = !list.length;
    if (inputs.childElementCount !== list.length) {
      inputs.replaceChildren();
      for (const [name] of list) {
        const box = el("span", "stratos-inputs-one", inputs);
        el("bdi", "stratos-name", box).textContent = short(name);
        el("bdi", "stratos-inputs-value", box, { dir: "ltr" });
      }
    }
    list.forEach(([, value], i) => setText(inputs.children[i].lastChild, spelled(short(value))));
  }

  function drawLinks({ origin, spawned }) {
    const wanted = [
      ...(origin === null ? [] : [["runs because of task", origin]]),
      ...spawned.map(([first]) => ["its monitor ended it; instead of it runs", first]),
    ];
    const key = JSON.stringify(wanted);
    if (links.dataset.key === key) return;
    links.dataset.key = key;
    links.replaceChildren();
    for (const [text, other] of wanted) {
      el("span", "", links).textContent = `${text} `;
      button(links, `task ${whole.format(other)}`, "bare", () => go(other));
    }
  }

  function drawAttempts(answer) {
    const list = answer.attempts.map((one) => ({ ...one, why: short(one.why), node: short(one.node), note: short(one.note), done: true }));
    if (answer.now) list.push({ attempt: answer.now.attempt, node: answer.now.node, started: answer.now.since, done: false });
    attempts.hidden = !list.length;
    const since = answer.now?.since ?? null;
    const runs = since === null ? "" : brief(Math.max(0, Date.now() / 1000 - since));
    const key = JSON.stringify([list, answer.attempt]);
    if (attempts.dataset.key === key) {
      if (answer.now) setText(attempts.lastChild.children[4], runs);
      return;
    }
    attempts.dataset.key = key;
    const focused = attempts.contains(document.activeElement) ? document.activeElement.dataset.attempt : null;
    attempts.replaceChildren();
    const line = (cells, role, className) => {
      const row = el("div", `stratos-attempt ${className}`, attempts, { role: "row" });
      return cells.map((text) => {
        const cell = el("span", "", row, { role });
        if (text instanceof Node) cell.append(text);
        else cell.textContent = text;
        return cell;
      });
    };
    line(["Attempt", "Ended by", "Node", "Started", "Ran", "CPU", "Memory", "Note"], "columnheader", "stratos-attempt-head");
    for (const one of list) {
      const choose = button(null, String(one.attempt), "bare", () => {
        attempt = one.done ? one.attempt : null;
        have = false;
        ask(true);
      });
      choose.dataset.attempt = one.attempt;
      choose.setAttribute("aria-label", `Show the output of attempt ${one.attempt}`);
      setAttr(choose, "aria-pressed", one.attempt === answer.attempt);
      const ran = one.started === null ? "" : brief(one.ended - one.started);
      line([
        choose,
        one.done ? one.why : "runs", one.node,
        one.started === null ? "never" : moment(one.started), one.done ? ran : runs,
        one.done && one.started !== null ? brief(one.cpu) : "", one.done && one.rss ? memText(one.rss) : "",
        one.done ? one.note : "",
      ], "cell", "");
      if (String(one.attempt) === focused) choose.focus();
    }
  }

  function drawStream(name, stream, answer) {
    const part = answer.streams[name];
    if (part) {
      const old = stream.text ?? "";
      stream.text = part.whole ?? old.slice(part.drop) + part.add;
      const { pre } = stream;
      const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 4;
      const first = part.whole !== undefined;
      paintOutput(pre, stream.text);
      if (atEnd || (first && answer.live)) pre.scrollTop = pre.scrollHeight;
    }
    const text = stream.text ?? "";
    const length = answer.sizes[name] || answer.shown[name];
    const cut = text.length > 0 && answer.partial[name];
    const which = answer.live ? "follows live" : answer.discarded ? "was discarded" : text ? "" : "nothing";
    setText(stream.size, [text ? `${cut ? "the last " : ""}${bytesText(cut ? answer.shown[name] : length)}${cut && answer.sizes[name] ? ` of ${bytesText(length)}` : ""}` : "", which].filter(Boolean).join(", "));
    stream.more.hidden = !(cut && answer.bytes < answer.most);
    stream.box.classList.toggle("stratos-quiet", !text);
    const path = answer.attempts.find((one) => one.attempt === answer.attempt)?.paths.find(([kind]) => kind === name);
    stream.pre.title = path && cut ? `the whole of it: ${path[1]}` : "";
  }

  async function copyCommand() {
    let text = news?.command ?? "";
    try {
      if (news?.cut) text = (await link.ask({ ask: "task", task, whole: true, reader: `${reader}c` }))[0].command;
      await navigator.clipboard.writeText(text);
      setText(copy, "Copied");
    } catch {
      const range = document.createRange();
      range.selectNodeContents(command);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      setText(copy, "Selected");
    }
    setTimeout(() => setText(copy, "Copy"), 1500);
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    back();
  });

  return {
    node: root,
    open(which, focus = true) {
      task = which;
      attempt = news = null;
      have = false;
      bytes = 0;
      shown = true;
      root.hidden = false;
      root.setAttribute("aria-label", `Task ${which}`);
      setText(title, `Task ${whole.format(which)}`);
      delete mark.dataset.state;
      mark.replaceChildren();
      for (const stream of Object.values(streams)) {
        stream.text = null;
        stream.pre.replaceChildren();
      }
      setText(command, "");
      attempts.replaceChildren();
      delete attempts.dataset.key;
      if (focus) root.focus({ preventScroll: true });
      ask(true);
    },
    get task() {
      return shown ? task : -1;
    },
    show(changed) {
      if (!shown || !changed) return;
      if (changed === "all" || changed.includes(task)) {
        if (news && news.state >= ENDED_FROM && link.states[task] < ENDED_FROM) attempt = null; // it runs once more
        ask(false);
      }
    },
    seen(is) {
      if (is === shown || task < 0) return;
      shown = is;
      if (is) ask(true);
      else clearTimeout(timer);
    },
    close() {
      shown = false;
      task = -1;
      root.hidden = true;
      clearTimeout(timer);
    },
    destroy() {
      clearTimeout(timer);
    },
  };
}
