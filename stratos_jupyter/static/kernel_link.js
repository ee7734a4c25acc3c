// What all views of one widget on a page share: the newest view of the job, the states of its tasks, and the kernel.
//
// While one of the views can be seen, a lease at the kernel is kept; the kernel then sends what changes. Each request
// has a number, and an answer or an error. A kernel that owes an answer for a second is said to be waited for.

const LEASE_MS = 20000; // the kernel forgets a page that does not renew within three times as long
const SILENT_MS = 12000; // it says something every 10 s
const OWES_MS = 1000;
const OLD_S = 20; // a view older than this is not taken for news

const links = new WeakMap();

// Each view is given a model of its own, which is deaf when that view goes; they have in common what the model holds. So
// this is to be called with the one that lasts, first.
export function linkOf(model) {
  const layout = model.get("layout");
  const key = typeof layout === "object" && layout !== null ? layout : model;
  if (!links.has(key)) links.set(key, new Link(model));
  return links.get(key);
}

async function inflate(data) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

class Link {
  constructor(model) {
    this.model = model;
    this.page = Math.random().toString(36).slice(2, 12) + Math.random().toString(36).slice(2, 12);
    this.views = new Set();
    this.visible = new Set();
    this.view = null; // the newest snapshot
    this.heardAt = null; // when it arrived; null: it was there before us, and may be old
    this.spokeAt = null; // when the kernel last said anything
    this.askedAt = null; // when it was last asked how the job is, without an answer
    this.gone = false; // nothing can be sent: there is no kernel, or another one
    this.states = new Uint8Array(0);
    this.version = 0;
    this.jobs = null;
    this.ui = { page: "map", task: -1, query: null }; // what the last view showed: a front end may draw it anew
    this.number = 0;
    this.pending = new Map();
    this.queue = null;
    this.renewing = 0;
    this.ticking = 0;
    this.onTrait = () => this.takeTrait(true);
    this.onMessage = (message, buffers) => this.take(message, buffers);
  }

  // -- views ------------------------------------------------------------------------------------------

  // A view has `show(changed)`, where changed is null, "all" or the indices of tasks, and `second()`.
  add(view) {
    if (!this.views.size) {
      this.model.on("change:view", this.onTrait);
      this.model.on("msg:custom", this.onMessage);
      this.takeTrait(false);
      this.takeFirst();
    }
    this.views.add(view);
  }

  remove(view) {
    this.look(view, false);
    this.views.delete(view);
    if (this.views.size) return;
    this.model.off("change:view", this.onTrait);
    this.model.off("msg:custom", this.onMessage);
    for (const { reject } of this.pending.values()) reject(new Error("closed"));
    this.pending.clear();
    this.version = 0; // what is missed from now on is not known
  }

  look(view, seen) {
    const before = this.visible.size;
    if (seen) this.visible.add(view);
    else this.visible.delete(view);
    if (seen && !before) this.watch(true);
    else if (!seen && before && !this.visible.size) this.hide();
    this.wind();
  }

  watch(again) {
    clearTimeout(this.renewing);
    this.renewing = setTimeout(() => this.watch(false), LEASE_MS);
    if (again) {
      this.askedAt ??= performance.now();
      this.post({ ask: "watch", page: this.page, have: this.version });
    } else if (this.askedAt === null) this.post({ ask: "watch", page: this.page }); // a busy kernel has one to answer
  }

  hide() {
    clearTimeout(this.renewing);
    this.renewing = 0;
    this.askedAt = null;
    this.post({ ask: "hide", page: this.page });
  }

  // The timer runs only while there is something to count and someone to see it.
  wind() {
    const wanted = this.visible.size > 0 && (this.pending.size > 0 || this.askedAt !== null || (this.view !== null && !this.view.ended));
    if (wanted && !this.ticking) this.ticking = setInterval(() => this.tick(), 500);
    else if (!wanted && this.ticking) {
      clearInterval(this.ticking);
      this.ticking = 0;
    }
  }

  tick() {
    const now = performance.now();
    if (this.spokeAt !== null && now - this.spokeAt > SILENT_MS && this.askedAt === null) this.watch(true);
    for (const view of this.views) view.second();
    this.wind();
  }

  // Whether the kernel owes an answer for long.
  get silent() {
    return this.gone || (this.askedAt !== null && performance.now() - this.askedAt > OWES_MS);
  }

  get owing() {
    if (this.gone) return false;
    let since = this.askedAt ?? Infinity;
    for (const { at } of this.pending.values()) since = Math.min(since, at);
    return performance.now() - since > OWES_MS;
  }

  get known() {
    return this.spokeAt !== null;
  }

  // -- the kernel -------------------------------------------------------------------------------------

  post(content) {
    const { gone } = this;
    try {
      this.model.send(content);
      this.gone = false;
    } catch {
      this.gone = true;
    }
    if (this.gone !== gone) this.tell(null);
    return !this.gone;
  }

  // Ask or act; the promise has the answer and its buffers, or is rejected with the kernel's own words.
  ask(content) {
    const n = (this.number += 1);
    return new Promise((resolve, reject) => {
      this.pending.set(n, { resolve, reject, at: performance.now() });
      if (!this.post({ ...content, n, page: this.page })) {
        this.pending.delete(n);
        reject(new Error("there is no kernel behind this page"));
      }
      this.wind();
    });
  }

  take(message, buffers) {
    if (message?.tick) {
      this.heard();
      this.chain(() => this.takeTick(message.tick, buffers));
    } else if (message?.page === this.page && this.pending.has(message.n)) {
      this.heard();
      const { resolve, reject } = this.pending.get(message.n);
      this.pending.delete(message.n);
      if (message.overtaken) reject(new Error("closed")); // by a newer one of the same table
      else if (message.error !== undefined) reject(new Error(message.error));
      else resolve([message.answer, (buffers ?? []).map(bytesOf)]);
    }
  }

  heard() {
    const first = this.spokeAt === null || this.silent;
    this.gone = false;
    this.spokeAt = performance.now();
    this.askedAt = null;
    if (first) this.tell(null);
  }

  // One after another, also where one has to be unpacked first.
  chain(step) {
    const run = () => {
      const left = step();
      if (left) this.queue = left.catch(() => this.watch(true)).finally(() => { this.queue = null; });
    };
    if (this.queue) this.queue = this.queue.then(run);
    else run();
  }

  takeTick(tick, buffers) {
    if (tick.jobs) this.jobs = tick.jobs;
    // An attempt that began and ended between two pictures left the state as it was.
    const anew = tick.view && this.view && tick.view.attempts !== this.view.attempts;
    if (tick.view) this.takeView(tick.view);
    if (!tick.delta) return this.tell(anew ? "all" : null);
    if (anew) this.chain(() => this.tell("all"));
    const { zip } = tick.delta;
    const data = bytesOf(buffers[0]);
    if (!zip) return this.takeDelta(tick.delta, data);
    return inflate(data).then((bytes) => this.takeDelta(tick.delta, bytes));
  }

  takeDelta({ version, after, total, changed }, data) {
    if (after === undefined) {
      this.states = data.slice();
      this.version = version;
      return this.tell("all");
    }
    if (after !== this.version) {
      if (version > this.version) this.watch(true); // one was lost, or we came later
      return this.tell(null);
    }
    if (total > this.states.length) {
      const longer = new Uint8Array(total);
      longer.set(this.states);
      this.states = longer;
    }
    const tasks = new Uint32Array(changed);
    for (let i = 0; i < changed; i += 1) {
      const task = data[i] + data[changed + i] * 0x100 + data[2 * changed + i] * 0x10000 + data[3 * changed + i] * 0x1000000;
      tasks[i] = task;
      this.states[task] = data[4 * changed + i];
    }
    this.version = version;
    this.tell(tasks);
  }

  // What was there when the widget was made, or at its last milestone: better than nothing until the kernel speaks.
  takeFirst() {
    const first = this.model.get("first");
    if (this.version || !first?.byteLength) return;
    this.chain(() => inflate(bytesOf(first)).then((states) => {
      if (this.version) return;
      this.states = states;
      this.tell("all");
    }));
  }

  takeTrait(news) {
    const view = this.model.get("view");
    if (!view || !view.counts) return;
    if (this.view !== null && view.at_s < this.view.at_s && !news) return;
    this.view = view;
    const fresh = news || Math.abs(Date.now() / 1000 - view.at_s) < OLD_S;
    if (fresh) this.heardAt = performance.now();
    if (news) {
      this.askedAt = null;
      this.tell(null);
    }
  }

  takeView(view) {
    if (!view.counts) return;
    this.view = view;
    this.heardAt = performance.now();
  }

  tell(changed) {
    for (const view of this.views) view.show(changed);
    this.wind();
  }
}
