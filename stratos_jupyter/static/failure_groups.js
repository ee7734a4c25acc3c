// What failed, grouped by what it has in common, the largest group first.

import { button, el, memText, setText, short, tasksText, whole } from "./dom.js";

const REGROUP_MS = 2000;

export function failureGroups(parent, link, { show, act, failed }) {
  const root = el("div", "stratos-failures", parent);
  const list = el("div", "stratos-groups", root, { role: "list", "aria-label": "Failures by what they have in common", tabindex: "-1" });
  const empty = el("div", "stratos-empty", root);
  const rest = el("div", "stratos-note", root);
  let shown = false;
  let asking = false;
  let again = false;
  let timer = 0;
  let askedAt = -Infinity;
  let drawn = "";

  async function ask() {
    clearTimeout(timer);
    timer = 0;
    again = asking;
    if (asking || !shown) return;
    asking = true;
    try {
      const [answer] = await link.ask({ ask: "groups" });
      draw(answer);
    } catch (error) {
      if (error.message !== "closed") failed(error);
    } finally {
      asking = false;
      askedAt = performance.now();
      if (again) ask();
    }
  }

  function draw({ groups, more, largest }) {
    setText(empty, groups.length ? "" : "Nothing has failed.");
    empty.hidden = groups.length > 0;
    const [kinds, count] = more;
    setText(rest, kinds ? `and ${tasksText(count)} more, in ${whole.format(kinds)} smaller groups` : "");
    for (const group of groups) for (const name of ["label", "text", "example"]) group[name] = short(group[name]);
    const shape = groups.map(({ key }) => key).join();
    if (shape !== drawn) {
      const focused = list.contains(document.activeElement) ? document.activeElement : null;
      const cards = new Map([...list.children].map((node) => [node.dataset.key, node]));
      drawn = shape;
      list.replaceChildren(...groups.map((group) => cards.get(group.key) ?? card(group, largest)));
      if (focused) (focused.isConnected ? focused : list).focus({ preventScroll: true });
    }
    const top = groups[0]?.count ?? 1;
    groups.forEach((group, i) => {
      const node = list.children[i];
      node.group = group;
      setText(node.querySelector(".stratos-group-count"), whole.format(group.count));
      node.memory.title = `now: ${memText(group.mem)}`;
      node.style.setProperty("--share", `${(100 * group.count) / top}%`);
    });
  }

  function card(group, largest) {
    const node = el("div", "stratos-group", null, { role: "listitem", "data-key": group.key });
    const count = el("div", "stratos-group-many", node);
    el("span", "stratos-group-count", count).textContent = whole.format(group.count);
    el("span", "stratos-group-times", count, { "aria-hidden": "true" }).textContent = " ×";
    const text = el("div", "stratos-group-text", node);
    const [how, ...words] = group.label.split(": ");
    el("span", "stratos-group-how", text).textContent = how;
    el("bdi", "stratos-group-form", text, { dir: "ltr" }).textContent = words.join(": ") || "it said nothing";
    if (group.example && group.example !== group.text) el("bdi", "stratos-group-example", text, { dir: "ltr" }).textContent = `as: ${group.example}`;
    const buttons = el("div", "stratos-group-acts", node);
    const what = () => ({
      count: node.group.count, group: group.key, states: [], what: node.group.count === 1 ? "this task" : `these ${tasksText(node.group.count)}`, mem: node.group.mem, largest,
    });
    button(buttons, "Show tasks", "plain", () => show(group.key, group.label));
    button(buttons, "Relaunch these", "plain", () => act("relaunch", what()));
    node.memory = button(buttons, "Relaunch with more memory…", "plain", () => act("relaunchWithMemory", what()));
    return node;
  }

  return {
    node: root,
    show(changed) {
      if (!changed || !shown || timer) return;
      timer = setTimeout(ask, Math.max(0, askedAt + REGROUP_MS - performance.now()));
    },
    seen(is) {
      shown = is;
      if (is) ask();
    },
    destroy() {
      clearTimeout(timer);
    },
  };
}
