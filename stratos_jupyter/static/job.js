// The browser half of the widgets.
//
// The head is a snapshot whose size does not depend on the number of tasks; below it are parts that ask the kernel for
// what they show. Whatever came from a user or a task is set with textContent, never as HTML. Nothing runs while the
// widget cannot be seen: the kernel is told so and sends nothing.

import { build, draw, summary } from "./summary.js";
import { setText } from "./dom.js";
import { jobTabs } from "./tabs.js";
import { jobList } from "./job_list.js";
import { linkOf } from "./kernel_link.js";

const SPEAK_EVERY_MS = 10000; // for screen readers; the end is said at once
const NO_KERNEL_MS = 3000; // nothing was ever heard of it: there is none, and nothing to be asked

function jobView(host, link) {
  const parts = build(host);
  const below = jobTabs(parts.below, link, parts.entries);
  let frame = 0;
  let spokenAt = -Infinity;
  let spokenMark = "";
  let visible = false;
  let alone = 0;

  function paint() {
    frame = 0;
    const { view } = link;
    if (!view) return;
    const silent = link.silent && !view.ended;
    const counting = !view.ended && !silent && link.heardAt !== null;
    draw(parts, view, counting ? (performance.now() - link.heardAt) / 1000 : 0, silent && (link.gone ? "its kernel is gone" : "waiting for the kernel"));
    speak(view);
  }

  function schedule() {
    if (!frame && visible) frame = requestAnimationFrame(paint);
  }

  function speak(view) {
    const quarter = view.total ? Math.floor((4 * view.done) / view.total) : 0;
    const mark = `${view.state} ${quarter} ${view.failed > 0}`;
    const now = performance.now();
    if (mark === spokenMark || (!view.ended && now - spokenAt < SPEAK_EVERY_MS)) return;
    spokenMark = mark;
    spokenAt = now;
    setText(parts.spoken, `Job ${view.job}: ${summary(view)}`);
  }

  paint();
  return {
    root: parts.root,
    show(changed) {
      if (link.known) parts.root.classList.remove("stratos-alone");
      below.show(changed);
      schedule();
    },
    second() {
      below.second();
      schedule();
    },
    seen(is) {
      visible = is;
      parts.root.classList.toggle("stratos-away", !is);
      below.seen(is);
      if (is) below.show("all");
      if (is && !link.known) alone = setTimeout(() => parts.root.classList.toggle("stratos-alone", !link.known), NO_KERNEL_MS);
      schedule();
    },
    destroy() {
      clearTimeout(alone);
      cancelAnimationFrame(frame);
      below.destroy();
    },
  };
}

// In JupyterLab's command mode a key belongs to the notebook, whatever has the focus: arrows go to another cell, Enter
// edits one. What has the focus in here keeps its keys, but for those with Ctrl or Cmd, which save and the like. The
// mark is looked for on the element that has the focus, by a listener of the document's: ours has to come before it.
function keepKeys(root) {
  const keep = (event) => {
    if (!root.contains(event.target)) return;
    const ours = !(event.ctrlKey || event.metaKey) || event.key === "a";
    event.target.toggleAttribute("data-lm-suppress-shortcuts", ours);
  };
  const start = () => window.addEventListener("keydown", keep, true);
  const stop = () => window.removeEventListener("keydown", keep, true);
  root.addEventListener("focusin", start);
  root.addEventListener("focusout", stop);
  return stop;
}

function initialize({ model }) {
  linkOf(model);
}

function render({ model, el: host }) {
  const link = linkOf(model);
  link.takeTrait(false);
  const view = model.get("jobs") === undefined ? jobView(host, link) : jobList(host, link);
  const letKeys = keepKeys(view.root);
  let onScreen = true;

  function looked() {
    const seen = onScreen && document.visibilityState === "visible";
    view.seen?.(seen);
    link.look(view, seen);
  }

  const watcher = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    looked();
  });
  link.add(view);
  document.addEventListener("visibilitychange", looked);
  watcher.observe(view.root);
  looked();
  view.show(null);

  return () => {
    document.removeEventListener("visibilitychange", looked);
    watcher.disconnect();
    letKeys();
    view.destroy?.();
    link.remove(view);
    view.root.remove();
  };
}

export default { initialize, render };
