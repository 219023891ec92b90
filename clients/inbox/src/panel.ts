/** The panel: head, tabs, list, preferences, and the line that undoes. */
import { focused, h, icon, iconButton, set } from "./dom.ts";
import { linkOf } from "./links.ts";
import { List } from "./list.ts";
import { openMenu, type Choice } from "./menu.ts";
import type { OwnMessages, Translate } from "./messages.ts";
import { PreferencesView } from "./preferences.ts";
import { ACTIONS, actionsOf, undoOf, type RowContext } from "./row.ts";
import { unreadIds, VIEWS } from "./state.ts";
import { MOST_IDS, type InboxStore } from "./store.ts";
import { shortTime, snoozeTimes } from "./time.ts";
import { Toast } from "./toast.ts";
import type { Action, Item, View } from "./types.ts";

/** A short interruption is not shown. */
const OFFLINE_MS = 3_000;

export interface PanelContext {
  t: Translate;
  locale: string;
  messages: OwnMessages;
  target: string;
  isInline: boolean;
  close(): void;
  /** Says whether the page allows the entry's link to be opened. */
  opened(item: Item, link: string | null): boolean;
}

type Tab = View | "preferences";

export class Panel {
  readonly element = h("section", { class: "panel", part: "panel", id: "panel", tabindex: -1 });
  readonly #store: InboxStore;
  readonly #list: List;
  readonly #prefs: PreferencesView;
  readonly #toast = new Toast();
  readonly #ends: (() => void)[] = [];
  #context: PanelContext;
  #tab: Tab = "inbox";
  #tabs = new Map<Tab, HTMLElement>();
  #strip = h("div", { class: "strip", role: "status", hidden: true });
  #offline: ReturnType<typeof setTimeout> | undefined;
  #readAll!: HTMLButtonElement;

  constructor(store: InboxStore, context: PanelContext) {
    this.#store = store;
    this.#context = context;
    this.#list = new List(store, this.#rowContext());
    this.#prefs = new PreferencesView(store, this.#prefsContext());
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    this.#ends.push(
      store.on("failed", () => this.#toast.show(this.#context.t("actionFailed"))),
      store.on("preferences", () => this.isOpen && this.#tab === "preferences" && void this.#prefs.load()),
      () => this.#list.stop(),
      () => this.#toast.hide(),
      () => clearTimeout(this.#offline),
    );
    this.dress(context);
  }

  stop(): void {
    for (const end of this.#ends) end();
  }

  isOpen = false;

  /** Writes all texts anew, in another language perhaps. */
  dress(context: PanelContext): void {
    this.#context = context;
    const { t, isInline } = context;
    const title = h("h2", { part: "heading", text: t("title") });
    this.#readAll = iconButton("checks", t("markAllRead"), () => this.#markAllRead());
    const close = iconButton("close", t("close"), () => context.close(), { class: "ib x" });
    set(this.element, { role: isInline ? "region" : "dialog", "aria-label": t("title") });
    const tabs = h("div", { class: "tabs", part: "tabs", role: "tablist", "aria-label": t("title"), onkeydown: (event: KeyboardEvent) => this.#onTabKey(event) });
    this.#tabs.clear();
    for (const tab of [...VIEWS, "preferences"] as Tab[]) tabs.append(this.#makeTab(tab));
    const hadFocus = this.element.contains(focused());
    this.element.replaceChildren(
      h("div", { class: "head", part: "header" }, title, this.#readAll, close),
      tabs,
      this.#strip,
      this.#list.pill,
      this.#list.element,
      this.#prefs.element,
      this.#toast.element,
    );
    this.#select(this.#tab);
    if (hadFocus) this.#tabs.get(this.#tab)?.focus();
  }

  #makeTab(tab: Tab): HTMLElement {
    const { t } = this.#context;
    const isGear = tab === "preferences";
    const made = h(
      "button",
      {
        type: "button",
        role: "tab",
        part: "tab",
        class: isGear ? "tab gear" : "tab",
        "aria-controls": isGear ? "prefs" : "list",
        ...(isGear ? { "aria-label": t(tab), title: t(tab) } : {}),
        onclick: () => this.#select(tab),
      },
      isGear ? icon("gear") : t(tab),
    );
    made.id = `tab-${tab}`;
    this.#tabs.set(tab, made);
    return made;
  }

  #select(tab: Tab): void {
    this.#tab = tab;
    for (const [each, element] of this.#tabs)
      set(element, { "aria-selected": String(each === tab), tabindex: each === tab ? 0 : -1 });
    const isPrefs = tab === "preferences";
    set(this.#list.element, { hidden: isPrefs, "aria-labelledby": `tab-${tab}` });
    set(this.#prefs.element, { hidden: !isPrefs, "aria-labelledby": `tab-${tab}` });
    if (!isPrefs) this.#list.show(tab, this.#rowContext());
    this.#load();
    this.render();
  }

  #load(): void {
    if (!this.isOpen) return;
    if (this.#tab === "preferences") void this.#prefs.show(this.#prefsContext());
    else void this.#store.open(this.#tab);
  }

  opened(): void {
    this.isOpen = true;
    this.#load();
    this.render();
  }

  closed(): void {
    this.isOpen = false;
    this.#toast.hide();
  }

  focus(): void {
    if (this.#tab === "preferences" || !this.#list.focus()) this.#tabs.get(this.#tab)?.focus();
  }

  render(): void {
    if (!this.isOpen) return;
    const { t } = this.#context;
    const { unread, status } = this.#store;
    this.#readAll.disabled = !unread;
    const tab = this.#tabs.get("unread")!;
    tab.replaceChildren(t("unread"), ...(unread ? [h("span", { class: "n", text: t("count", { n: unread }) })] : []));
    if (this.#tab !== "preferences") {
      const { stale, loaded } = this.#store.state.windows[this.#tab];
      if ((stale || !loaded) && status !== "refused" && !this.#store.hasFailed(this.#tab)) void this.#store.open(this.#tab);
      this.#list.render();
    }
    this.#renderStrip();
  }

  /** Says that the connection is lost when that has lasted, or that the sign-in has ended. */
  #renderStrip(): void {
    const { status } = this.#store;
    const { t } = this.#context;
    const show = (name: "alert" | "clock", text: string): void => {
      this.#strip.replaceChildren(icon(name), h("span", { text }));
      this.#strip.hidden = false;
    };
    if (status === "live" || status === "refused") {
      clearTimeout(this.#offline);
      this.#offline = undefined;
      this.#strip.hidden = true;
      if (status === "refused") show("alert", `${t("signedOut")}. ${t("signedOutHint")}`);
    } else if (this.#strip.hidden)
      this.#offline ??= setTimeout(() => {
        this.#offline = undefined;
        if (this.#store.status !== "live") show("clock", this.#context.t("offline"));
      }, OFFLINE_MS);
  }

  #rowContext(): RowContext {
    const { t, locale, target } = this.#context;
    return {
      t,
      locale,
      target,
      act: (action, item) => void this.#act(action, item),
      open: (item, event) => this.#open(item, event),
      snooze: (item, anchor) => this.#snooze(item, anchor),
      menu: (item, anchor) => this.#menu(item, anchor),
    };
  }

  #prefsContext(): ConstructorParameters<typeof PreferencesView>[1] {
    const { t, locale } = this.#context;
    return { t, locale, toast: (text) => this.#toast.show(text) };
  }

  async #act(action: Action, item: Item, until?: Date): Promise<void> {
    const { t, locale } = this.#context;
    const [, , , text] = ACTIONS[action as keyof typeof ACTIONS];
    const time = until ? shortTime(until.getTime(), Date.now(), locale) : "";
    const before = new Date(item.snoozed_until ?? 0);
    const undo = (): void => {
      for (const each of undoOf(action, item))
        void this.#store.act(each, [item.id], each === "snooze" ? before : undefined);
      this.#toast.show(t("undone"));
    };
    this.#toast.show(t(text, { time }), { text: t("undo"), run: undo });
    await this.#store.act(action, [item.id], until);
  }

  #markAllRead(): void {
    const { t } = this.#context;
    const { ids, isWhole } = unreadIds(this.#store.state);
    const undo = (): void => {
      void this.#store.act("unread", ids);
      this.#toast.show(t("undone"));
    };
    const isUndoable = isWhole && ids.length > 0 && ids.length <= MOST_IDS;
    this.#toast.show(t("didReadAll"), isUndoable ? { text: t("undo"), run: undo } : undefined);
    void this.#store.act("read-all", []);
    this.focus();
  }

  #open(item: Item, event: Event): void {
    const link = linkOf(item.data, location.href);
    if (!item.read_at) void this.#store.act("read", [item.id]);
    if (!this.#context.opened(item, link)) event.preventDefault();
  }

  #snooze(item: Item, anchor: HTMLElement): void {
    openMenu(this.element, anchor, this.#context.t("snooze"), this.#snoozeChoices(item));
  }

  #snoozeChoices(item: Item): Choice[] {
    const { t, locale } = this.#context;
    return snoozeTimes(new Date()).map(({ text, until }) => ({
      icon: "clock",
      text: t(text),
      hint: shortTime(until.getTime(), Date.now(), locale),
      run: () => void this.#act("snooze", item, until),
    }));
  }

  #menu(item: Item, anchor: HTMLElement): void {
    const { t } = this.#context;
    const choices = actionsOf(item).flatMap((action): Choice[] => {
      if (action === "snooze")
        return [{ icon: "clock", text: t("snooze"), run: () => this.#snooze(item, anchor) }];
      const [name, text] = ACTIONS[action as keyof typeof ACTIONS];
      return [{ icon: name, text: t(text), run: () => void this.#act(action, item) }];
    });
    openMenu(this.element, anchor, t("more"), choices);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && !this.#context.isInline) {
      event.preventDefault();
      event.stopPropagation();
      this.#context.close();
    } else if (event.code === "KeyZ" && !event.shiftKey && !event.altKey && !(event.target as Element).closest("input, select")) {
      if (this.#toast.undo()) event.preventDefault();
    }
  }

  #onTabKey(event: KeyboardEvent): void {
    const all = [...this.#tabs.keys()];
    const isRtl = getComputedStyle(this.element).direction === "rtl";
    const at = all.indexOf(this.#tab);
    const steps: Record<string, number> = {
      ArrowRight: at + (isRtl ? -1 : 1),
      ArrowLeft: at + (isRtl ? 1 : -1),
      Home: 0,
      End: all.length - 1,
    };
    const to = steps[event.key];
    if (event.key === "ArrowDown") this.focus();
    else if (to !== undefined) {
      const tab = all.at(to % all.length)!;
      this.#select(tab);
      this.#tabs.get(tab)!.focus();
    } else return;
    event.preventDefault();
  }
}
