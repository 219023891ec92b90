/** One entry of the list, as the page shows it. */
import { h, icon, iconButton, set } from "./dom.ts";
import { linkOf } from "./links.ts";
import type { Translate } from "./messages.ts";
import { isUnread } from "./state.ts";
import { ago, fullTime, shortTime } from "./time.ts";
import type { Action, Item } from "./types.ts";

export interface RowContext {
  t: Translate;
  locale: string;
  act(action: Action, item: Item): void;
  open(item: Item, event: Event): void;
  snooze(item: Item, anchor: HTMLElement): void;
  menu(item: Item, anchor: HTMLElement): void;
  /** The `target` of links; empty for the same window. */
  target: string;
}

/** The actions that an entry allows, the most usual first. */
export function actionsOf(item: Item): Action[] {
  if (item.archived_at) return ["unarchive"];
  return [
    item.read_at ? "unread" : "read",
    item.snoozed_until ? "unsnooze" : "snooze",
    "archive",
  ];
}

export const ACTIONS = {
  read: ["check", "markRead", "KeyU", "didRead"],
  unread: ["dot", "markUnread", "KeyU", "didUnread"],
  archive: ["archive", "archive", "KeyE", "didArchive"],
  unarchive: ["inbox", "unarchive", "KeyE", "didUnarchive"],
  snooze: ["clock", "snooze", "KeyS", "didSnooze"],
  unsnooze: ["inbox", "unsnooze", "KeyS", "didUnsnooze"],
} as const;
const REVERSE: Partial<Record<Action, Action>> = {
  read: "unread",
  unread: "read",
  archive: "unarchive",
  unarchive: "archive",
  snooze: "unsnooze",
  unsnooze: "snooze",
};

/**
 * Returns the actions that undo an action on an entry, given as it was before. An entry whose snooze
 * ends is unread, and one that is archived loses its snooze.
 */
export function undoOf(action: Action, before: Item): Action[] {
  if (action === "archive" && before.snoozed_until) return ["snooze"];
  return [REVERSE[action]!, ...(action === "snooze" && before.read_at ? (["read"] as const) : [])];
}

let serial = 0;

export class Row {
  readonly element: HTMLElement;
  item: Item;
  #context: RowContext;
  #shown = "";
  #time: HTMLTimeElement | null = null;
  #isActive = false;

  constructor(item: Item, context: RowContext) {
    this.item = item;
    this.#context = context;
    this.element = h("article", {
      class: "item",
      tabindex: -1,
      onclick: (event: MouseEvent) => {
        if (!(event.target as Element).closest(".acts")) this.#context.open(this.item, event);
      },
    });
    this.element.id = `i${++serial}`;
    this.update(item, context);
  }

  /**
   * Shows the present values. If nothing of them is seen, the elements stay: a click is lost when
   * its button is replaced while it is down.
   */
  update(item: Item, context: RowContext): void {
    const { id, seq, created_at, seen_at, read_at, archived_at, ...values } = item;
    const shown = JSON.stringify([values, !read_at, !archived_at, context.locale, context.target]);
    const isSame = shown === this.#shown && context === this.#context;
    this.item = item;
    this.#context = context;
    if (isSame) return;
    this.#shown = shown;
    this.#render();
  }

  /** Writes the age anew, which grows. */
  tick(): void {
    const { created_at } = this.item;
    if (this.#time) set(this.#time, { text: ago(Date.parse(created_at), Date.now(), this.#context.locale) });
  }

  #render(): void {
    const { item, element } = this;
    const { t, locale, target } = this.#context;
    const unread = isUnread(item);
    const link = linkOf(item.data, location.href);
    const at = Date.parse(item.created_at);
    const heading = link
      ? h("a", { href: link, tabindex: -1, ...(target ? { target, rel: "noopener noreferrer" } : {}) })
      : h("span");
    const mark = unread ? h("span", { class: "sr", text: `${t("isUnread")}: ` }) : null;
    set(heading, { part: "title", class: "title", id: `${element.id}t` });
    if (mark) heading.append(mark);
    heading.append(item.title || item.body);
    this.#time = h("time", { part: "time", class: "time", datetime: item.created_at, title: fullTime(at, locale) });
    set(element, {
      part: unread ? "item unread" : "item",
      class: `item ${unread ? "is-unread" : item.read_at ? "is-read" : ""}${element.classList.contains("fresh") ? " fresh" : ""}`,
      "aria-labelledby": `${element.id}t`,
      "aria-describedby": `${element.id}b`,
    });
    const hadFocus = this.#focusedAction();
    element.replaceChildren(
      h("span", { class: "dot", part: "dot" }),
      heading,
      this.#time,
      h("div", { class: "text", part: "body", id: `${element.id}b`, text: item.title ? item.body : "" }),
      this.#meta(),
      this.#actions(),
    );
    this.tick();
    this.reach(this.#isActive);
    if (hadFocus >= 0) (this.buttons()[hadFocus] ?? element).focus();
  }

  #meta(): HTMLElement {
    const { item } = this;
    const { t, locale } = this.#context;
    const until = item.snoozed_until && !item.archived_at ? Date.parse(item.snoozed_until) : 0;
    const time = until ? shortTime(until, Date.now(), locale) : "";
    return h(
      "div",
      { class: "meta", part: "meta" },
      item.priority === 1 && h("span", { class: "urgent", text: t("urgent") }),
      item.category && h("span", { part: "category", text: t.category(item.category) }),
      until > 0 && h("span", {}, icon("clock"), t("until", { time })),
    );
  }

  #actions(): HTMLElement {
    const { t, act, snooze, menu } = this.#context;
    const box = h("div", { class: "acts", part: "actions" });
    for (const action of actionsOf(this.item)) {
      const [name, text, key] = ACTIONS[action as keyof typeof ACTIONS];
      const run = (event: Event): void => {
        if (action === "snooze") snooze(this.item, event.currentTarget as HTMLElement);
        else act(action, this.item);
      };
      const more = { tabindex: -1, "aria-keyshortcuts": key.slice(3), ...(action === "snooze" ? { "aria-haspopup": "menu" } : {}) };
      box.append(iconButton(name, t(text), run, more));
    }
    const open = (event: Event): void => menu(this.item, event.currentTarget as HTMLElement);
    box.append(iconButton("more", t("more"), open, { class: "ib more", tabindex: -1, "aria-haspopup": "menu" }));
    return box;
  }

  /** Does what a click on the entry does. */
  activate(): void {
    (this.element.querySelector<HTMLElement>("a.title") ?? this.element).click();
  }

  /** The buttons that are shown: on a touch screen that is one, which opens a menu. */
  buttons(): HTMLElement[] {
    const all = this.element.querySelectorAll<HTMLElement>(".acts button");
    return [...all].filter((each) => getComputedStyle(each).display !== "none");
  }

  #focusedAction(): number {
    const root = this.element.getRootNode() as ShadowRoot;
    return this.buttons().indexOf(root.activeElement as HTMLElement);
  }

  /** Lets the Tab key reach this entry and its buttons, or no longer. */
  reach(isActive: boolean): void {
    this.#isActive = isActive;
    this.element.tabIndex = isActive ? 0 : -1;
    for (const each of this.element.querySelectorAll<HTMLElement>(".acts button"))
      each.tabIndex = isActive ? 0 : -1;
  }
}
