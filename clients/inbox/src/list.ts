/** The list of entries: keyboard, further pages on scrolling, what was seen, what is new. */
import { focused, h, icon, set } from "./dom.ts";
import type { Translate } from "./messages.ts";
import { ACTIONS, actionsOf, Row, type RowContext } from "./row.ts";
import type { InboxStore } from "./store.ts";
import type { Item, View } from "./types.ts";

const AHEAD_PX = 400;
const TICK_MS = 30_000;
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5, Home: -1e9, End: 1e9 };
const EMPTY = {
  inbox: ["check", "emptyInbox", "emptyInboxHint"],
  unread: ["check", "emptyUnread", "emptyInboxHint"],
  snoozed: ["clock", "emptySnoozed", "emptySnoozedHint"],
  archived: ["archive", "emptyArchived", null],
} as const;

export class List {
  readonly #feed = h("div", { role: "feed", part: "list" });
  readonly #note = h("div");
  readonly #sentinel = h("div", { class: "sentinel" });
  readonly #pill = h("button", { type: "button", class: "pill", part: "new", hidden: true });
  readonly element = h("div", { class: "body", role: "tabpanel", id: "list" }, this.#feed, this.#note, this.#sentinel);
  readonly pill = this.#pill;
  readonly #store: InboxStore;
  readonly #rows = new Map<string, Row>();
  readonly #ids = new WeakMap<Element, string>();
  readonly #inSight = new Set<string>();
  readonly #ends: (() => void)[] = [];
  #context: RowContext;
  #active: string | null = null;
  #view: View = "inbox";
  #order: Item[] = [];
  #new = 0;
  #shownNote = "";
  #sight: IntersectionObserver;
  #end: IntersectionObserver;

  constructor(store: InboxStore, context: RowContext) {
    this.#store = store;
    this.#context = context;
    this.#sight = new IntersectionObserver((entries) => this.#onSight(entries), { root: this.element, threshold: 0.6 });
    this.#end = new IntersectionObserver(
      (entries) => entries.at(-1)!.isIntersecting && this.#more(),
      { root: this.element, rootMargin: `0px 0px ${AHEAD_PX}px` },
    );
    this.#feed.addEventListener("keydown", (event) => this.#onKey(event));
    this.#feed.addEventListener("focusin", ({ target }) => this.#activate(this.#idAt(target as Element)));
    this.#pill.addEventListener("click", () => this.#toTop());
    this.element.addEventListener("scroll", () => this.element.scrollTop < 8 && this.#clearNew(), { passive: true });
    const onVisible = (): void => this.#reportSeen();
    document.addEventListener("visibilitychange", onVisible);
    const ticks = setInterval(() => this.#rows.forEach((row) => row.tick()), TICK_MS);
    this.#ends.push(
      store.on("arrived", (items) => this.#onArrived(items)),
      () => document.removeEventListener("visibilitychange", onVisible),
      () => clearInterval(ticks),
    );
  }

  stop(): void {
    for (const end of this.#ends) end();
    this.#sight.disconnect();
    this.#end.disconnect();
  }

  get view(): View {
    return this.#view;
  }

  show(view: View, context = this.#context): void {
    const isOther = view !== this.#view;
    this.#view = view;
    this.#context = context;
    if (isOther) {
      this.#active = null;
      this.#clearNew();
      this.element.scrollTop = 0;
    }
    this.render();
  }

  /** Focuses the active entry, or the first one. Says whether there is one. */
  focus(): boolean {
    const row = this.#rows.get(this.#active ?? "") ?? this.#rows.get(this.#order[0]?.id ?? "");
    row?.element.focus();
    return !!row;
  }

  render(): void {
    const { state } = this.#store;
    const items = this.#store.list(this.#view);
    const focusAt = this.#focusIndex();
    const wanted = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      this.#sight.unobserve(row.element);
      this.#inSight.delete(id);
      row.element.remove();
      this.#rows.delete(id);
    }
    let cursor = this.#feed.firstElementChild;
    items.forEach((item, index) => {
      const row = this.#rowOf(item);
      if (row.element === cursor) cursor = cursor.nextElementSibling;
      else this.#feed.insertBefore(row.element, cursor);
      set(row.element, { "aria-posinset": index + 1, "aria-setsize": this.#store.hasMore(this.#view) ? -1 : items.length });
    });
    this.#order = items;
    if (!wanted.has(this.#active ?? "")) this.#activate((items[Math.max(0, focusAt)] ?? items.at(-1))?.id ?? null);
    if (focusAt >= 0 && !this.#feed.contains(focused()) && !this.focus()) this.element.closest<HTMLElement>(".panel")?.focus();
    set(this.#feed, { "aria-busy": this.#store.isLoading(this.#view) ? "true" : "false", hidden: !items.length });
    this.#renderNote(items.length, state.windows[this.#view].loaded);
    this.#renderPill();
    this.#end.unobserve(this.#sentinel);
    if (this.#store.hasMore(this.#view) && !this.#store.isLoading(this.#view) && !this.#store.hasFailed(this.#view))
      this.#end.observe(this.#sentinel);
  }

  #rowOf(item: Item): Row {
    let row = this.#rows.get(item.id);
    if (row) row.update(item, this.#context);
    else {
      row = new Row(item, this.#context);
      this.#rows.set(item.id, row);
      this.#ids.set(row.element, item.id);
      this.#sight.observe(row.element);
    }
    return row;
  }

  #renderNote(count: number, isLoaded: boolean): void {
    const { t } = this.#context;
    const failed = this.#store.hasFailed(this.#view);
    const isLoading = this.#store.isLoading(this.#view) || (!isLoaded && !failed);
    const isOut = this.#store.status === "refused" && !isLoaded;
    const kind = isOut ? "out" : failed ? "failed" : isLoading ? "loading" : count || this.#store.hasMore(this.#view) ? "" : "empty";
    const shown = `${kind} ${count > 0} ${this.#view} ${this.#context.locale}`;
    if (shown === this.#shownNote) return;
    this.#shownNote = shown;
    const retry = h("button", { type: "button", class: "btn", text: t("retry"), onclick: () => this.#retry() });
    const [name, text, hint] = EMPTY[this.#view];
    const notes = {
      "": () => [],
      out: () => [note(t, "alert", "signedOut", "signedOutHint", true)],
      failed: () => [note(t, "alert", "failed", null, true, retry)],
      loading: () => bones(count ? 2 : 6),
      empty: () => [note(t, name, text, hint)],
    };
    this.#note.replaceChildren(...notes[kind]());
  }

  #retry(): void {
    const { loaded } = this.#store.state.windows[this.#view];
    void (loaded && this.#order.length ? this.#store.more(this.#view) : this.#store.open(this.#view));
    this.focus();
  }

  #more(): void {
    if (!this.#store.isLoading(this.#view)) void this.#store.more(this.#view);
  }

  #idAt(target: Element | null): string | null {
    const row = target?.closest("article");
    return (row && this.#ids.get(row)) ?? null;
  }

  #focusIndex(): number {
    const id = this.#feed.contains(focused()) ? this.#idAt(focused()) : null;
    return this.#order.findIndex((item) => item.id === id);
  }

  #activate(id: string | null): void {
    if (this.#active && this.#active !== id) this.#rows.get(this.#active)?.reach(false);
    this.#active = id;
    if (id) this.#rows.get(id)?.reach(true);
  }

  #onKey(event: KeyboardEvent): void {
    const id = this.#idAt(event.target as Element);
    const row = this.#rows.get(id ?? "");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#run(event, row)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  #run(event: KeyboardEvent, row: Row): boolean {
    const isAtRow = event.target === row.element;
    const step = STEPS[event.key];
    if (step !== undefined) {
      const at = this.#order.indexOf(row.item);
      const to = Math.max(0, Math.min(this.#order.length - 1, at + step));
      this.#rows.get(this.#order[to]!.id)?.element.focus();
      if (to === this.#order.length - 1) this.#more();
      return true;
    }
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") return this.#sideways(event.key, row);
    if (event.key === "Escape" && !isAtRow) {
      row.element.focus();
      return true;
    }
    if (event.key === "Enter" && isAtRow) {
      row.activate();
      return true;
    }
    const action = actionsOf(row.item).find((each) => ACTIONS[each as keyof typeof ACTIONS][2] === event.code);
    if (!action || event.shiftKey) return false;
    if (action === "snooze") this.#context.snooze(row.item, row.element);
    else this.#context.act(action, row.item);
    return true;
  }

  #sideways(key: string, row: Row): boolean {
    const isForward = (key === "ArrowRight") === (getComputedStyle(this.element).direction !== "rtl");
    const all = [row.element, ...row.buttons()];
    const at = all.indexOf(focused() as HTMLElement);
    all[Math.max(0, Math.min(all.length - 1, at + (isForward ? 1 : -1)))]?.focus();
    return true;
  }

  #onSight(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const id = this.#ids.get(target);
      if (id && isIntersecting) this.#inSight.add(id);
      else if (id) this.#inSight.delete(id);
    }
    this.#reportSeen();
  }

  #reportSeen(): void {
    if (document.visibilityState === "visible") this.#store.seen(this.#inSight);
  }

  #onArrived(items: Item[]): void {
    queueMicrotask(() => {
      for (const { id } of items) this.#rows.get(id)?.element.classList.add("fresh");
    });
    if (this.element.scrollTop > 40 && this.#view !== "archived" && this.#view !== "snoozed") this.#new += items.length;
  }

  #renderPill(): void {
    this.#pill.hidden = !this.#new;
    const text = this.#context.t("showNew", { n: this.#new });
    if (this.#new && this.#pill.textContent !== text) this.#pill.replaceChildren(icon("up"), text);
  }

  #clearNew(): void {
    this.#new = 0;
    this.#renderPill();
  }

  #toTop(): void {
    this.element.scrollTop = 0;
    this.#clearNew();
    const first = this.#order[0];
    if (first) this.#rows.get(first.id)?.element.focus();
  }
}

/** Returns grey bars, which stand for what is loading. */
export const bones = (count: number): HTMLElement[] =>
  Array.from({ length: count }, () => h("div", { class: "bone", "aria-hidden": "true" }));

/** Returns a note that stands in place of a list. */
export function note(
  t: Translate,
  name: Parameters<typeof icon>[0],
  text: Parameters<Translate>[0],
  hint: Parameters<Translate>[0] | null,
  isAlert = false,
  button?: HTMLElement,
): HTMLElement {
  return h(
    "div",
    { class: "note", part: "empty", ...(isAlert ? { role: "alert" } : {}) },
    icon(name),
    h("b", { text: t(text) }),
    hint ? h("span", { text: t(hint) }) : null,
    button,
  );
}

