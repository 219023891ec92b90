/** A server's inbox as the tests define it, and a small generator of random numbers. */
import type { Action, Answer, Change, Frame, Item, Page, View } from "../src/types.ts";
import { belongs, isUnread } from "../src/state.ts";

/** mulberry32: the same numbers for the same seed. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

const CATEGORIES = ["course", "payment"];
const KINDS: Partial<Record<Action, Change["kind"]>> = {
  read: "read",
  unread: "unread",
  archive: "archived",
  unarchive: "unarchived",
  snooze: "snoozed",
  unsnooze: "returned",
};

export class Model {
  epoch = "e1";
  seq = 0;
  items = new Map<string, Item>();
  events: (Frame & { type: "notification" | "change" })[] = [];
  /** Whether a missed arrival is shown as it is now, or as it was then. */
  readonly showsNow: boolean;
  #ids = 0;

  constructor(showsNow = false) {
    this.showsNow = showsNow;
  }

  now(): string {
    return new Date(Date.UTC(2026, 10, 30) + this.seq * 1000).toISOString();
  }

  arrive(category = "course"): string {
    this.seq += 1;
    const id = `n${++this.#ids}`;
    const item: Item = {
      id,
      title: `Title ${id}`,
      body: "",
      data: {},
      category,
      type: "system",
      priority: 3,
      created_at: this.now(),
      seq: this.seq,
      read_at: null,
      archived_at: null,
      snoozed_until: null,
      seen_at: null,
    };
    this.items.set(id, item);
    this.events.push({ type: "notification", data: { ...item } });
    return id;
  }

  change(kind: Change["kind"], ids: string[], more: Partial<Change> = {}): void {
    this.seq += 1;
    const data: Change = { seq: this.seq, kind, ...more };
    if (kind !== "read_all") data.ids = ids;
    const at = data.fields?.at ?? this.now();
    for (const [id, item] of this.items) {
      if (kind === "read_all") {
        const isMeant = item.seq <= data.up_to! && (!data.category || item.category === data.category);
        if (isMeant && isUnread(item)) this.items.set(id, { ...item, read_at: at });
      } else if (ids.includes(id)) this.#apply(id, item, data, at);
    }
    this.events.push({ type: "change", data });
  }

  #apply(id: string, item: Item, { kind, fields = {} }: Change, at: string): void {
    const { title = item.title } = fields;
    const next: Partial<Record<Change["kind"], Partial<Item>>> = {
      read: { read_at: item.read_at ?? at },
      unread: { read_at: null },
      archived: { archived_at: at, snoozed_until: null },
      unarchived: { archived_at: null },
      snoozed: { snoozed_until: fields.until ?? at, archived_at: null },
      returned: { snoozed_until: null, read_at: null },
      amended: { title },
    };
    if (kind === "retracted") this.items.delete(id);
    else this.items.set(id, { ...item, ...next[kind] });
  }

  /** What another device of the person, or the service, does. */
  anything(random: Random): void {
    const ids = [...this.items.keys()];
    const kind = random.pick([
      "arrive", "arrive", "arrive", "read", "unread", "read_all", "archived", "unarchived",
      "snoozed", "returned", "retracted", "amended", "preferences",
    ] as const);
    const at = this.now();
    if (kind === "arrive" || !ids.length) this.arrive(random.pick(CATEGORIES));
    else if (kind === "read_all") {
      const category = random.below(2) ? { category: random.pick(CATEGORIES) } : {};
      this.change(kind, [], { up_to: random.below(this.seq) + 1, fields: { at }, ...category });
    } else if (kind === "preferences") this.change(kind, []);
    else {
      const some = [random.pick(ids), random.pick(ids)].slice(random.below(2));
      const fields = kind === "snoozed" ? { until: at } : kind === "amended" ? { title: `T${this.seq}` } : { at };
      this.change(kind, some, { fields });
    }
  }

  act(action: Action, ids: readonly string[], upTo: number): Answer {
    const at = this.now();
    if (action === "read-all") this.change("read_all", [], { up_to: upTo, fields: { at } });
    else this.change(KINDS[action]!, [...ids], { fields: action === "snooze" ? { until: at } : { at } });
    // With or without the entry: a service may answer either.
    const one = ids.length === 1 && !this.showsNow ? this.items.get(ids[0]!) : undefined;
    return { ...one, seq: this.seq, unread: this.unread() };
  }

  unread(): number {
    return [...this.items.values()].filter(isUnread).length;
  }

  count(): Frame {
    return { type: "unread", data: { count: this.unread(), epoch: this.epoch, seq: this.seq } };
  }

  list(view: View): Item[] {
    return [...this.items.values()].filter((item) => belongs(item, view)).sort((a, b) => b.seq - a.seq);
  }

  page(view: View, cursor: string | null, size: number): Page {
    const all = this.list(view).filter((item) => cursor === null || item.seq < Number(cursor));
    const results = all.slice(0, size).map((item) => ({ ...item }));
    const next = all.length > size ? `https://n.example/inbox?limit=4&cursor=${results.at(-1)!.seq}` : null;
    return { results, next, unread: this.unread(), epoch: this.epoch, seq: this.seq };
  }

  /** What a connection begins with after a position. */
  since(epoch: string, seq: number, mostMissed = 40): Frame[] {
    const missed = this.events.filter((event) => event.data.seq > seq);
    if (epoch === this.epoch && seq <= this.seq && missed.length <= mostMissed)
      return [...missed.flatMap((event) => this.#shown(event)), this.count()];
    const unread = this.list("unread").slice(0, 50).reverse();
    const shown = unread.map((data): Frame => ({ type: "notification", data: { ...data } }));
    return [{ type: "resync", data: { epoch: this.epoch, seq: this.seq } }, ...shown, this.count()];
  }

  #shown(event: Frame): Frame[] {
    if (!this.showsNow || event.type !== "notification") return [event];
    const now = this.items.get(event.data.id);
    return now ? [{ type: "notification", data: { ...now } }] : [];
  }

  restore(): void {
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    this.events = [];
  }
}
