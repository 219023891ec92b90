import assert from "node:assert/strict";
import { test } from "node:test";
import {
  applyCount, applyFrames, applyPage, begin, confirm, emptyState, fail, isOutdated, listOf, unreadIds,
  unreadOf, MOST_LOGGED, VIEWS, type Pending, type State,
} from "../src/state.ts";
import type { Action, Answer, Frame, Page, View } from "../src/types.ts";
import { Model, Random } from "./model.ts";

const SIZE = 4;
const ACTIONS: readonly Action[] = ["read", "unread", "archive", "unarchive", "snooze", "unsnooze", "read-all"];

function ids(state: State, view: View = "inbox"): string[] {
  return listOf(state, view).map((item) => item.id);
}

function loaded(model: Model, view: View = "inbox", size = 50): State {
  return applyPage(emptyState(), view, model.page(view, null, size), null);
}

function events(model: Model, from: number): Frame[] {
  return [...model.events.filter((event) => event.data.seq > from), model.count()];
}

test("a page and the frames after it are the server's list", () => {
  const model = new Model();
  model.arrive();
  const first = model.arrive();
  const state = loaded(model);
  model.arrive();
  model.change("read", [first], { fields: { at: model.now() } });
  const now = applyFrames(state, events(model, state.seq));
  assert.deepEqual(listOf(now, "inbox"), model.list("inbox"));
  assert.equal(unreadOf(now), 2);
  assert.equal(now.seq, 4);
});

test("frames up to the position are dropped", () => {
  const model = new Model();
  const id = model.arrive();
  model.change("archived", [id], { fields: { at: model.now() } });
  model.change("unarchived", [id]);
  const state = loaded(model);
  const again = applyFrames(state, model.events);
  assert.deepEqual(ids(again), [id]);
  assert.equal(again.seq, state.seq);
});

test("what was sent to a room is in no inbox", () => {
  const model = new Model();
  const id = model.arrive();
  const state = loaded(model);
  const sent = { type: "notification", data: { title: "It begins" }, room: "course:5" };
  model.arrive();
  const now = applyFrames(state, [sent as unknown as Frame, ...events(model, state.seq)]);
  assert.deepEqual(listOf(now, "inbox"), model.list("inbox"));
  assert.equal(now.seq, 2);
  assert.ok(ids(now).includes(id));
});

test("a late page does not undo what frames did since", () => {
  const model = new Model();
  const id = model.arrive();
  const gone = model.arrive();
  const page = model.page("inbox", null, 50);
  let state = applyCount(emptyState(), page);
  model.change("read", [id], { fields: { at: model.now() } });
  model.change("retracted", [gone]);
  state = applyFrames(state, events(model, state.seq));
  state = applyPage(state, "inbox", page, null);
  assert.deepEqual(listOf(state, "inbox"), model.list("inbox"));
  assert.equal(unreadOf(state), 0);
});

test("a page older than the remembered changes is read again", () => {
  const model = new Model();
  const id = model.arrive();
  const page = model.page("inbox", null, 50);
  let state = applyCount(emptyState(), page);
  for (let n = 0; n <= MOST_LOGGED; n++) model.change(n % 2 ? "read" : "unread", [id]);
  state = applyFrames(state, events(model, state.seq));
  state = applyPage(state, "inbox", page, null);
  assert.ok(state.windows.inbox.stale);
  state = applyPage(state, "inbox", model.page("inbox", null, 50), null);
  assert.ok(!state.windows.inbox.stale);
  assert.deepEqual(listOf(state, "inbox"), model.list("inbox"));
});

test("an unknown entry that comes back marks its lists stale", () => {
  const model = new Model();
  const id = model.arrive();
  model.change("archived", [id], { fields: { at: model.now() } });
  const state = loaded(model);
  model.change("unarchived", [id]);
  const now = applyFrames(state, events(model, state.seq));
  assert.ok(now.windows.inbox.stale);
  assert.ok(!now.windows.archived.stale, "a list that was not loaded has nothing to read again");
});

test("resync forgets everything but what the person did just now", () => {
  const model = new Model();
  const id = model.arrive();
  let state = begin(loaded(model), { key: 1, action: "read", ids: [id], at: model.now(), epoch: "e1" });
  model.restore();
  state = applyFrames(state, model.since("e1", state.seq));
  assert.equal(state.epoch, "e2");
  assert.deepEqual(ids(state), []);
  assert.ok(!state.windows.inbox.loaded);
  assert.equal(unreadOf(state), 0, "the action is still shown");
  assert.equal(unreadOf(fail(state, 1)), 1);
});

test("an action shows at once, and its failure is undone", () => {
  const model = new Model();
  const id = model.arrive();
  const before = loaded(model);
  const state = begin(before, { key: 1, action: "archive", ids: [id], at: model.now(), epoch: "e1" });
  assert.deepEqual(ids(state), []);
  assert.equal(unreadOf(state), 0);
  assert.deepEqual(ids(fail(state, 1)), [id]);
  assert.equal(unreadOf(fail(state, 1)), 1);
});

test("the echo before the answer changes nothing twice", () => {
  const model = new Model();
  const [id] = [model.arrive(), model.arrive()];
  let state = begin(loaded(model), { key: 1, action: "read", ids: [id!], at: model.now(), epoch: "e1" });
  const answer = model.act("read", [id!], 0);
  state = applyFrames(state, events(model, state.seq));
  assert.equal(unreadOf(state), 1);
  state = confirm(state, 1, answer);
  assert.equal(unreadOf(state), 1);
  assert.deepEqual(listOf(state, "inbox"), model.list("inbox"));
});

test("an answer keeps the place of an entry: its seq is that of the change", () => {
  const model = new Model();
  const old = model.arrive();
  const recent = model.arrive();
  let state = begin(loaded(model), { key: 1, action: "read", ids: [old], at: model.now(), epoch: "e1" });
  state = confirm(state, 1, model.act("read", [old], 0));
  assert.deepEqual(ids(state), [recent, old]);
});

test("an answer without the entry is shown until its frame comes, before later actions", () => {
  const model = new Model(true);
  const id = model.arrive();
  const acting = { ids: [id], at: model.now(), epoch: "e1" };
  let state = begin(loaded(model), { key: 1, action: "read", ...acting });
  state = begin(state, { key: 2, action: "unread", ...acting });
  const first = model.act("read", [id], 0);
  assert.equal(first.id, undefined);
  state = confirm(state, 1, first);
  assert.equal(unreadOf(state), 1, "the second action is the later one");
  state = confirm(fail(state, 2), 1, first);
  assert.equal(unreadOf(state), 0);
  assert.ok(listOf(state, "inbox")[0]!.read_at);
  state = applyFrames(state, events(model, state.seq));
  assert.deepEqual(state.pending, []);
  assert.deepEqual(listOf(state, "inbox"), model.list("inbox"));
});

test("a newer change of another device outlasts a late answer", () => {
  const model = new Model();
  const id = model.arrive();
  let state = begin(loaded(model), { key: 1, action: "read", ids: [id], at: model.now(), epoch: "e1" });
  const answer = model.act("read", [id], 0);
  model.change("unread", [id]);
  state = applyFrames(state, events(model, state.seq));
  state = confirm(state, 1, answer);
  assert.equal(unreadOf(state), 1);
  assert.deepEqual(listOf(state, "inbox"), model.list("inbox"));
});

test("to read all is for what the person has seen, not for what arrives meanwhile", () => {
  const model = new Model();
  model.arrive();
  let state = begin(loaded(model), { key: 1, action: "read-all", ids: [], at: model.now(), epoch: "e1", upTo: 1 });
  assert.equal(unreadOf(state), 0);
  model.arrive();
  state = applyFrames(state, events(model, state.seq));
  assert.equal(unreadOf(state), 1);
});

test("the ids of unread entries are whole only where all are known", () => {
  const model = new Model();
  for (let n = 0; n < 6; n++) model.arrive();
  assert.deepEqual(unreadIds(loaded(model)).isWhole, true);
  assert.deepEqual(unreadIds(loaded(model, "inbox", 4)).isWhole, false);
});

test("pages of a list read anew do not continue the old one", () => {
  const model = new Model();
  for (let n = 0; n < 9; n++) model.arrive();
  let state = loaded(model, "inbox", SIZE);
  const old = state.windows.inbox.cursor!;
  const late = model.page("inbox", old, SIZE);
  model.arrive();
  state = applyPage(state, "inbox", model.page("inbox", null, SIZE), null);
  assert.notEqual(state.windows.inbox.cursor, old);
  assert.equal(listOf(applyPage(state, "inbox", late, old), "inbox").length, SIZE);
});

/** A client with a slow network: pages, frames and answers arrive in any order they can. */
class Client {
  state = emptyState();
  readonly #model: Model;
  readonly #random: Random;
  #key = 0;
  #pages: { view: View; cursor: string | null; page: Page; epoch: string }[] = [];
  #answers: { key: number; answer: Answer | null }[] = [];

  constructor(model: Model, random: Random) {
    this.#model = model;
    this.#random = random;
    this.state = applyCount(this.state, model.page("inbox", null, 1));
  }

  step(): void {
    const model = this.#model;
    const random = this.#random;
    const what = random.below(9);
    if (what < 3) model.anything(random);
    else if (what === 3) this.requestPage(random.pick(VIEWS));
    else if (what === 4) this.receivePage();
    else if (what === 5) this.#act();
    else if (what === 6) this.receiveAnswer();
    else if (what === 7) this.receive(random.below(4));
    else if (random.below(12) === 0) model.restore();
    else if (random.below(4) === 0) this.reconnect();
  }

  requestPage(view: View): void {
    const { loaded: isLoaded, stale, cursor } = this.state.windows[view];
    const at = isLoaded && !stale ? cursor : null;
    const { epoch } = this.state;
    this.#pages.push({ view, cursor: at, page: this.#model.page(view, at, SIZE), epoch });
  }

  receivePage(): boolean {
    const next = this.#pages.shift();
    if (next && !isOutdated(this.state, next.epoch, next.page))
      this.state = applyPage(this.state, next.view, next.page, next.cursor);
    return !!next;
  }

  #act(): void {
    const known = [...this.state.known.keys()];
    const action = this.#random.pick(ACTIONS);
    if (!known.length) return;
    const some = action === "read-all" ? [] : [this.#random.pick(known)];
    if (this.#random.below(4) === 0 && action === "archive") some.push(this.#random.pick(known));
    const pending: Pending = { key: ++this.#key, action, ids: some, at: this.#model.now(), epoch: this.state.epoch, upTo: this.state.seq };
    this.state = begin(this.state, pending);
    const exists = some.every((id) => this.#model.items.has(id));
    const works = exists && this.#random.below(4) > 0 && this.state.epoch === this.#model.epoch;
    this.#answers.push({ key: pending.key, answer: works ? this.#model.act(action, some, this.state.seq) : null });
  }

  receiveAnswer(): boolean {
    const next = this.#answers.shift();
    if (next?.answer) this.state = confirm(this.state, next.key, next.answer);
    else if (next) this.state = fail(this.state, next.key);
    return !!next;
  }

  /** Receives the next frames of the connection, some of them a second time. */
  receive(count: number): void {
    if (this.state.epoch !== this.#model.epoch) return this.reconnect();
    if (this.#model.showsNow) return this.reconnect(); // such a service sends whole groups
    const again = this.#random.below(3);
    const frames = this.#model.events.filter((event) => event.data.seq > this.state.seq - again);
    this.state = applyFrames(this.state, frames.slice(0, count + again));
  }

  reconnect(): void {
    const { epoch, seq } = this.state;
    this.state = applyFrames(this.state, this.#model.since(epoch, seq));
  }

  settle(): void {
    while (this.receiveAnswer());
    while (this.receivePage());
    this.reconnect();
    for (const view of VIEWS)
      if (this.state.windows[view].stale || !this.state.windows[view].loaded)
        this.state = applyPage(this.state, view, this.#model.page(view, null, SIZE), null);
  }
}

test("snapshot and events are the fresh snapshot, for random actions in random order", () => {
  const runs = Number(process.env.RUNS ?? 2_000);
  const first = Number(process.env.SEED ?? Date.now() % 1_000_000);
  for (let seed = first; seed < first + runs; seed++) {
    const random = new Random(seed);
    const model = new Model(random.below(2) === 0);
    const client = new Client(model, random);
    for (let step = 0; step < 60; step++) client.step();
    client.settle();
    const { state } = client;
    const about = `SEED=${seed} RUNS=1`;
    assert.equal(state.seq, model.seq, about);
    assert.equal(unreadOf(state), model.unread(), about);
    for (const view of VIEWS) {
      const { floor } = state.windows[view];
      const expected = model.list(view).filter((item) => item.seq >= floor);
      assert.deepEqual(listOf(state, view).map(brief), expected.map(brief), `${about} ${view}`);
    }
  }
});

function brief({ id, title, read_at, archived_at, snoozed_until }: Page["results"][number]): unknown {
  return { id, title, isRead: !!read_at, archived: !!archived_at, snoozed: !!snoozed_until };
}
