/**
 * What one person's inbox contains, as far as it is known. Pure: no clock, no network, no page.
 *
 * Two sources are merged: pages of `GET /inbox`, each exact at one position, and frames in the
 * order of their positions. Each entry knows the position at which it is exact, so a late page
 * never undoes a newer frame, and a late frame never undoes a newer page.
 */
import type { Action, Answer, Change, Frame, Item, Kind, Page, View } from "./types.ts";

export const VIEWS: readonly View[] = ["inbox", "unread", "snoozed", "archived"];
/** So many changes are remembered for pages that were read before them. */
export const MOST_LOGGED = 256;

/** An entry, exact at position `at`. A retracted one has no item. */
interface Known {
  item: Item | null;
  at: number;
}

export interface Window {
  loaded: boolean;
  /** An entry that is not known came into this list: read its first page again. */
  stale: boolean;
  /** The position of the oldest entry that was loaded. */
  floor: number;
  /** Of the next page; null on the last one. */
  cursor: string | null;
}

/** An action of the person whose effect no frame or page has shown yet. */
export interface Pending {
  key: number;
  action: Action;
  ids: readonly string[];
  /** When the person acted. */
  at: string;
  until?: string;
  /** Of `read-all`. */
  upTo?: number;
  /** In which the person acted. Positions of another epoch mean nothing. */
  epoch: string;
  /** The position of the change, once the service has answered. */
  done?: number;
}

export interface State {
  epoch: string;
  /** Frames up to this position have been applied; -1 before the first. */
  seq: number;
  unread: number;
  unreadSeq: number;
  known: ReadonlyMap<string, Known>;
  windows: Readonly<Record<View, Window>>;
  pending: readonly Pending[];
  log: readonly Change[];
  /** Pages older than this position lack changes that are not in the log. */
  logFloor: number;
}

const UNLOADED: Window = { loaded: false, stale: false, floor: Infinity, cursor: null };
const ENTERS: Partial<Record<Kind, readonly View[]>> = {
  unread: ["unread"],
  archived: ["archived"],
  snoozed: ["snoozed"],
  returned: ["inbox", "unread"],
  unarchived: ["inbox", "unread"],
};
const RESULTS: Record<Action, Kind> = {
  read: "read",
  unread: "unread",
  archive: "archived",
  unarchive: "unarchived",
  snooze: "snoozed",
  unsnooze: "returned",
  "read-all": "read",
};

export function emptyState(epoch = "", pending: readonly Pending[] = []): State {
  const windows = Object.fromEntries(VIEWS.map((view) => [view, UNLOADED]));
  return {
    epoch,
    seq: -1,
    unread: 0,
    unreadSeq: -1,
    known: new Map(),
    windows: windows as Record<View, Window>,
    pending,
    log: [],
    logFloor: Infinity,
  };
}

export function isUnread(item: Item): boolean {
  return !item.read_at && belongs(item, "inbox");
}

export function belongs(item: Item, view: View): boolean {
  if (view === "archived") return !!item.archived_at;
  if (view === "snoozed") return !item.archived_at && !!item.snoozed_until;
  return !item.archived_at && !item.snoozed_until && (view === "inbox" || !item.read_at);
}

/** Returns the item after a change that concerns it. */
function changed(item: Item, kind: Kind, fields: Change["fields"] = {}): Item {
  const { at = item.created_at, until = null, ...texts } = fields;
  switch (kind) {
    case "read":
    case "read_all":
      return item.read_at ? item : { ...item, read_at: at };
    case "unread":
      return { ...item, read_at: null };
    case "archived":
      return { ...item, archived_at: at, snoozed_until: null };
    case "unarchived":
      return { ...item, archived_at: null };
    case "snoozed":
      return { ...item, snoozed_until: until, archived_at: null };
    case "returned": // the person asked to be reminded, so it is unread
      return { ...item, snoozed_until: null, read_at: null };
    case "amended":
      return { ...item, ...texts };
    default:
      return item;
  }
}

type Draft = { -readonly [name in keyof State]: State[name] } & {
  known: Map<string, Known>;
  windows: Record<View, Window>;
};

function draftOf(state: State): Draft {
  return { ...state, known: new Map(state.known), windows: { ...state.windows } };
}

function isOfReadAll(change: Change, item: Item): boolean {
  const { up_to = change.seq, category } = change;
  return isUnread(item) && item.seq <= up_to && (!category || item.category === category);
}

function applyChange(draft: Draft, change: Change, entering: readonly View[]): void {
  const { seq, kind } = change;
  const isOfAll = kind === "read_all" && !change.ids;
  for (const id of isOfAll ? draft.known.keys() : (change.ids ?? [])) {
    const known = draft.known.get(id);
    if (!known) {
      for (const view of ENTERS[kind] ?? []) {
        const window = draft.windows[view];
        if (window.loaded && entering.includes(view))
          draft.windows[view] = { ...window, stale: true };
      }
      if (kind === "retracted") draft.known.set(id, { item: null, at: seq });
      continue;
    }
    const { item, at } = known;
    if (seq <= at || !item || (isOfAll && !isOfReadAll(change, item))) continue;
    const next = kind === "retracted" ? null : changed(item, kind, change.fields);
    draft.known.set(id, { item: next, at: seq });
  }
}

/** Returns the draft of a state that knows nothing but the actions without an answer. */
function forgotten(epoch: string, { pending }: State): Draft {
  return draftOf(emptyState(epoch, pending.filter((each) => each.done === undefined)));
}

/** Whether the service shows an arrival as it is now: a new one is nothing of all this. */
function isLater(item: Item): boolean {
  return !!(item.read_at || item.archived_at || item.snoozed_until);
}

/**
 * Applies the frames of one group in their order. Frames up to the state's position are dropped.
 *
 * The frame of an arrival has its values of now, not of then: what the same group says of it
 * happened before.
 */
export function applyFrames(state: State, frames: readonly Frame[]): State {
  let draft = draftOf(state);
  const end = Math.max(...frames.map(({ data }) => (data as { seq?: number }).seq ?? -1));
  for (const frame of frames) {
    if (frame.type === "resync") {
      draft = forgotten(frame.data.epoch, draft);
    } else if (frame.type === "unread") {
      const { count, epoch, seq } = frame.data;
      if (epoch !== draft.epoch) draft = forgotten(epoch, draft);
      if (seq >= draft.unreadSeq) Object.assign(draft, { unread: count, unreadSeq: seq });
      draft.seq = Math.max(draft.seq, seq);
      if (draft.logFloor === Infinity) draft.logFloor = seq; // the end of a snapshot
    } else if (frame.type === "notification") {
      const item = frame.data;
      if (!(item.seq > draft.seq)) continue; // one without a position is in no inbox
      draft.seq = item.seq;
      const at = isLater(item) ? end : item.seq;
      if ((draft.known.get(item.id)?.at ?? -1) < at) draft.known.set(item.id, { item, at });
    } else if (frame.type === "change" && frame.data.seq > draft.seq) {
      draft.seq = frame.data.seq;
      applyChange(draft, frame.data, VIEWS);
      const log = [...draft.log, frame.data];
      if (log.length > MOST_LOGGED) draft.logFloor = log.shift()!.seq;
      draft.log = log;
    }
  }
  draft.pending = draft.pending.filter(({ done = Infinity }) => done > draft.seq);
  return draft;
}

/** Merges the answer of `GET /inbox/unread`. It sets the position where there is none. */
export function applyCount(state: State, count: { unread: number; epoch: string; seq: number }): State {
  const { unread, epoch, seq } = count;
  const base = epoch === state.epoch ? state : forgotten(epoch, state);
  const position = base.seq < 0 ? { seq, logFloor: seq } : {};
  return seq < base.unreadSeq ? { ...base, ...position } : { ...base, ...position, unread, unreadSeq: seq };
}

/** Returns the cursor of the next page, which the answer has itself or in an address. */
function cursorOf({ next_cursor, next }: Page): string | null {
  return next_cursor ?? /[?&]cursor=([^&]+)/.exec(next ?? "")?.[1] ?? null;
}

/**
 * Returns whether an answer is of an epoch that has ended since its request. `epoch` is that of the
 * request: an answer of a third one is newer than both.
 */
export function isOutdated(state: State, epoch: string, answer: { epoch: string }): boolean {
  return answer.epoch !== state.epoch && state.epoch !== epoch;
}

/**
 * Merges a page of a list. `cursor` is what it was requested with, null for the first page.
 *
 * A page that is older than the log is not merged: the list is then marked stale.
 */
export function applyPage(state: State, view: View, page: Page, cursor: string | null): State {
  const draft = draftOf(applyCount(state, page));
  const before = draft.windows[view];
  if (cursor !== null && cursor !== before.cursor) return draft; // of a list that was read anew
  if (page.seq < draft.logFloor) {
    draft.windows[view] = { ...before, stale: true };
    return draft;
  }
  for (const given of page.results) {
    const isOut = view === "inbox" || view === "unread";
    const item = isOut && given.snoozed_until ? { ...given, snoozed_until: null } : given;
    if ((draft.known.get(item.id)?.at ?? -1) <= page.seq)
      draft.known.set(item.id, { item, at: page.seq });
  }
  const oldest = Math.min(...page.results.map((item) => item.seq), before.loaded && cursor !== null ? before.floor : Infinity);
  const next = cursorOf(page);
  draft.windows[view] = { loaded: true, stale: false, floor: next === null ? -1 : oldest, cursor: next };
  for (const change of draft.log)
    if (change.seq > page.seq) applyChange(draft, change, [view]);
  return draft;
}

export function begin(state: State, pending: Pending): State {
  return { ...state, pending: [...state.pending, pending] };
}

/** Ends an action that failed: what it showed is undone. */
export function fail(state: State, key: number): State {
  return { ...state, pending: state.pending.filter((each) => each.key !== key) };
}

/**
 * Notes the answer to an action. An answer with the whole entry is exact at the position of the
 * change. Of others only the effect is known, which is shown until the frames reach that position:
 * changes of other devices may come before it.
 */
export function confirm(state: State, key: number, answer: Answer): State {
  const draft = draftOf(fail(state, key));
  if (state.pending.find((each) => each.key === key)?.epoch !== draft.epoch) return draft;
  const { changed: _, unread, seq, id, ...values } = answer;
  const known = draft.known.get(id ?? "");
  if (known?.item) {
    if (known.at <= seq) draft.known.set(id!, { item: { ...known.item, ...values }, at: seq });
  } else if (seq > draft.seq) // it stays in its place among the others
    draft.pending = state.pending.map((each) => (each.key === key ? { ...each, done: seq } : each));
  if (seq >= draft.unreadSeq) Object.assign(draft, { unread, unreadSeq: seq });
  return draft;
}

function concerns(pending: Pending, item: Item): boolean {
  const { action, ids, upTo = Infinity } = pending;
  return action === "read-all" ? isUnread(item) && item.seq <= upTo : ids.includes(item.id);
}

function acted(item: Item, { action, at, until }: Pending): Item {
  return changed(item, RESULTS[action], { at, ...(until ? { until } : {}) });
}

/** Returns an entry as the person shall see it: with the effect of what they did just now. */
function shown({ item, at }: Known, pending: readonly Pending[]): Item {
  for (const each of pending)
    if ((each.done ?? Infinity) > at && concerns(each, item!)) item = acted(item!, each);
  return item!;
}

/** Returns a list, the newest first. */
export function listOf(state: State, view: View): Item[] {
  const { floor, loaded } = state.windows[view];
  if (!loaded) return [];
  const found: Item[] = [];
  for (const known of state.known.values()) {
    if (!known.item || known.item.seq < floor) continue;
    const now = shown(known, state.pending);
    if (belongs(now, view)) found.push(now);
  }
  return found.sort((a, b) => b.seq - a.seq);
}

/** Returns the number of unread entries, with the effect of what the person did just now. */
export function unreadOf(state: State): number {
  const { pending, unreadSeq } = state;
  const counted = pending.filter(({ done = Infinity }) => done <= unreadSeq);
  if (counted.length === pending.length) return state.unread;
  const isAll = pending.some((each) => each.action === "read-all" && !counted.includes(each));
  let count = isAll ? 0 : state.unread;
  for (const known of state.known.values()) {
    if (!known.item) continue;
    count += Number(isUnread(shown(known, pending)));
    if (!isAll) count -= Number(isUnread(shown(known, counted)));
  }
  return Math.max(0, count);
}

export function itemOf(state: State, id: string): Item | undefined {
  const known = state.known.get(id);
  return known?.item ? shown(known, state.pending) : undefined;
}

/** Returns the ids of unread entries, and whether they are all that there are. */
export function unreadIds(state: State): { ids: string[]; isWhole: boolean } {
  const ids: string[] = [];
  for (const [id, known] of state.known)
    if (known.item && isUnread(shown(known, state.pending))) ids.push(id);
  return { ids, isWhole: ids.length === unreadOf(state) };
}
