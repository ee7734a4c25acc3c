// What failed, grouped by what it has in common, the largest group first.

import { button, make, memText, say, short, tasksText, whole } from "./dom.js";

const REGROUP_MS = 2000;

export function failures(parent, link, { show, act, failed }) {
  const root = make("div", "stratos-failures", parent);
  const list = make("div", "stratos-groups", root, { role: "list", "aria-label": "Failures by what they have in common", tabindex: "-1" });
  const empty = make("div", "stratos-empty", root);
  const rest = make("div", "stratos-note", root);
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
    say(empty, groups.length ? "" : "Nothing has failed.");
    empty.hidden = groups.length > 0;
    const [kinds, count] = more;
    say(rest, kinds ? `and ${tasksText(count)} more, in ${whole.format(kinds)} smaller groups` : "");
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
      say(node.querySelector(".stratos-group-count"), whole.format(group.count));
      node.memory.title = `now: ${memText(group.mem)}`;
      node.style.setProperty("--share", `${(100 * group.count) / top}%`);
    });
  }

  function card(group, largest) {
    const node = make("div", "stratos-group", null, { role: "listitem", "data-key": group.key });
    const count = make("div", "stratos-group-many", node);
    make("span", "stratos-group-count", count).textContent = whole.format(group.count);
    make("span", "stratos-group-times", count, { "aria-hidden": "true" }).textContent = " ×";
    const text = make("div", "stratos-group-text", node);
    const [how, ...words] = group.label.split(": ");
    make("span", "stratos-group-how", text).textContent = how;
    make("bdi", "stratos-group-form", text, { dir: "ltr" }).textContent = words.join(": ") || "it said nothing";
    if (group.example && group.example !== group.text) make("bdi", "stratos-group-example", text, { dir: "ltr" }).textContent = `as: ${group.example}`;
    const acts = make("div", "stratos-group-acts", node);
    const what = () => ({
      count: node.group.count, group: group.key, states: [], what: node.group.count === 1 ? "this task" : `these ${tasksText(node.group.count)}`, mem: node.group.mem, largest,
    });
    button(acts, "Show tasks", "plain", () => show(group.key, group.label));
    button(acts, "Relaunch these", "plain", () => act("relaunch", what()));
    node.memory = button(acts, "Relaunch with more memory…", "plain", () => act("memory", what()));
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
