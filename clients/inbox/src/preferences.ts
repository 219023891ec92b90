/** The tab in which a person chooses channels, topics, digests and quiet hours. */
import { h, icon, set } from "./dom.ts";
import { bones, note } from "./list.ts";
import type { Messages, Translate } from "./messages.ts";
import type { InboxStore } from "./store.ts";
import { shortTime } from "./time.ts";
import type { Category, Channel, GlobalPreferences, Preferences, Switches } from "./types.ts";

const CHANNELS: Record<Channel, keyof Messages> = {
  in_app: "chInApp",
  websocket: "chWebsocket",
  push: "chPush",
  email: "chEmail",
  sms: "chSms",
  telegram: "chTelegram",
};
const NAMES = Object.keys(CHANNELS) as Channel[];
const DIGESTS: Record<string, keyof Messages> = {
  immediate: "digestImmediate",
  hourly: "digestHourly",
  daily: "digestDaily",
  weekly: "digestWeekly",
  never: "digestNever",
};
const PAUSES_H: Record<string, number> = { pauseOff: 0, pauseHour: 1, pauseDay: 24, pauseWeek: 168 };
const HOUR_MS = 3_600_000;
const MOST_CATEGORIES = 100;

type Changes = { global?: GlobalPreferences; categories?: Record<string, Switches> };

export interface PreferencesContext {
  t: Translate;
  locale: string;
  toast(text: string): void;
}

export class PreferencesView {
  readonly element = h("div", { class: "body", role: "tabpanel", id: "prefs", part: "preferences", hidden: true });
  readonly #store: InboxStore;
  #context: PreferencesContext;
  #values: Preferences | null = null;
  #categories: Category[] = [];
  #pending = new Set<Changes>();
  #loads = 0;

  constructor(store: InboxStore, context: PreferencesContext) {
    this.#store = store;
    this.#context = context;
  }

  async show(context: PreferencesContext): Promise<void> {
    if (context.t !== this.#context.t) this.element.replaceChildren();
    this.#context = context;
    this.#render();
    await this.load();
  }

  /** Reads the preferences. Of several reads only the last one is shown. */
  async load(): Promise<void> {
    const load = ++this.#loads;
    const { api } = this.#store;
    try {
      const [values, categories] = await Promise.all([
        api.call<Preferences>("/preferences"),
        this.#categories.length
          ? this.#categories
          : api.call<{ results: Category[] }>(`/categories?limit=${MOST_CATEGORIES}`).then((page) => page.results),
      ]);
      if (load !== this.#loads) return;
      this.#values = values;
      this.#categories = categories;
      this.#render();
    } catch {
      if (load !== this.#loads) return;
      const { t } = this.#context;
      const retry = h("button", { type: "button", class: "btn", text: t("retry"), onclick: () => void this.load() });
      this.element.replaceChildren(note(t, "alert", "failed", null, true, retry));
    }
  }

  /** Shows a change at once, over whatever is read meanwhile, until its answer comes. */
  async #save(changes: Changes): Promise<void> {
    const { t, toast } = this.#context;
    const load = ++this.#loads;
    this.#pending.add(changes);
    this.#render();
    try {
      const now = await this.#store.api.call<Preferences>("/preferences", { method: "PUT", body: changes });
      this.#values = load === this.#loads ? now : merged(this.#values!, changes);
      toast(t("saved"));
    } catch {
      toast(t("actionFailed"));
    }
    this.#pending.delete(changes);
    this.#render();
  }

  #global(changes: GlobalPreferences): void {
    void this.#save({ global: changes });
  }

  /** Shows the present values. Controls stay the same, so an answer never takes away what is pressed. */
  #render(): void {
    const values = this.#values && [...this.#pending].reduce(merged, this.#values);
    const parts = values
      ? [this.#general(values.global), this.#channels(values.global), this.#topics(values)]
      : bones(6);
    adopt(this.element, [h("div", { class: "prefs" }, ...parts)]);
  }

  #switch(name: string, label: string, isOn: boolean, change: (isOn: boolean) => void, hint = ""): HTMLElement {
    const onchange = (event: Event): void => change((event.target as HTMLInputElement).checked);
    const box = h("input", { type: "checkbox", role: "switch", class: "sw", part: "switch", name, onchange });
    box.checked = isOn;
    return h("label", { class: "row" }, h("span", { text: label }, hint ? h("small", { text: hint }) : null), box);
  }

  #select(name: string, label: string, options: Record<string, string>, value: string, change: (value: string) => void): HTMLElement {
    const onchange = (event: Event): void => change((event.target as HTMLSelectElement).value);
    const box = h("select", { name, onchange });
    for (const [key, text] of Object.entries(options)) box.append(h("option", { value: key, text }));
    box.value = value;
    return h("label", { class: "row" }, h("span", { text: label }), box);
  }

  #general(now: GlobalPreferences): HTMLElement {
    const { t, locale } = this.#context;
    const digests = Object.fromEntries(Object.entries(DIGESTS).map(([key, text]) => [key, t(text)]));
    const pauses = Object.fromEntries(Object.keys(PAUSES_H).map((key) => [key, t(key as keyof Messages)]));
    const until = now.dnd_until ? Date.parse(now.dnd_until) : 0;
    const isPaused = until > Date.now();
    if (isPaused) pauses.until = t("until", { time: shortTime(until, Date.now(), locale) });
    const pause = (key: string): void => {
      const hours = PAUSES_H[key];
      if (hours !== undefined)
        this.#global({ dnd_until: hours ? new Date(Date.now() + hours * HOUR_MS).toISOString() : null });
    };
    // Marketing rests on both; other topics may rest on the second one, so it is not withdrawn here.
    const consent = (on: boolean): void =>
      this.#global(on ? { marketing_enabled: on, data_processing_consent: on } : { marketing_enabled: on });
    return group(
      t("prefGeneral"),
      this.#switch("all", t("prefAll"), !!now.notifications_enabled, (on) => this.#global({ notifications_enabled: on }), t("prefAllHint")),
      this.#switch("marketing", t("prefMarketing"), !!(now.marketing_enabled && now.data_processing_consent), consent, t("prefMarketingHint")),
      this.#select("digest", t("prefDigest"), digests, now.digest_frequency ?? "immediate", (value) => this.#global({ digest_frequency: value })),
      this.#select("pause", t("prefPause"), pauses, isPaused ? "until" : "pauseOff", pause),
      this.#switch("quiet", t("prefQuiet"), !!now.quiet_hours_enabled, (on) => this.#global({ quiet_hours_enabled: on })),
      ...(now.quiet_hours_enabled ? [this.#time("quiet_hours_start", t("prefFrom"), now), this.#time("quiet_hours_end", t("prefTo"), now)] : []),
    );
  }

  #time(name: "quiet_hours_start" | "quiet_hours_end", label: string, now: GlobalPreferences): HTMLElement {
    const onchange = (event: Event): void => {
      const { value } = event.target as HTMLInputElement;
      if (value) this.#global({ [name]: value });
    };
    const box = h("input", { type: "time", name, onchange, value: (now[name] ?? "").slice(0, 5) });
    return h("label", { class: "row times" }, h("span", { text: label }), box);
  }

  #channels(now: GlobalPreferences): HTMLElement {
    const { t } = this.#context;
    const rows = NAMES.map((channel) => {
      const field = `${channel}_enabled` as const;
      return this.#switch(field, t(CHANNELS[channel]), !!now[field], (on) => this.#global({ [field]: on }));
    });
    return group(t("prefChannels"), ...rows);
  }

  #topics({ global, categories }: Preferences): HTMLElement | false {
    const { t } = this.#context;
    const rows = this.#categories.map(({ key, name }) => {
      const chosen = categories[key] ?? {};
      const isOn = (channel: Channel): boolean => chosen[`${channel}_enabled`] ?? !!global[`${channel}_enabled`];
      const label = t.category(key, name);
      const active = NAMES.filter(isOn).map((channel) => t(CHANNELS[channel]));
      const switches = NAMES.map((channel) => {
        const field = `${channel}_enabled` as const;
        const save = (on: boolean): void => void this.#save({ categories: { [key]: { [field]: on } } });
        return this.#switch(`${key}:${field}`, t(CHANNELS[channel]), isOn(channel), save);
      });
      const about = h("span", { text: label }, h("small", { text: active.join(", ") || t("off") }));
      const summary = h("summary", { class: "row" }, about, icon("down"));
      const box = h("div", { role: "group", "aria-label": label }, ...switches);
      return h("details", {}, summary, box);
    });
    return rows.length > 0 && group(t("prefTopics"), ...rows);
  }
}

function group(title: string, ...rows: HTMLElement[]): HTMLElement {
  return h("div", { role: "group", "aria-label": title }, h("h3", { text: title }), ...rows);
}

function merged(before: Preferences, { global = {}, categories = {} }: Changes): Preferences {
  const next: Preferences = { global: { ...before.global, ...global }, categories: { ...before.categories } };
  for (const [key, switches] of Object.entries(categories))
    next.categories[key] = { ...next.categories[key], ...switches };
  return next;
}

/**
 * Gives an element these children: one of the same kind stays, and takes over texts and values.
 * It keeps its listeners, so a place must always mean the same: rows come and go at the end alone.
 */
function adopt(parent: Element, wanted: Element[]): void {
  const present = [...parent.children] as HTMLInputElement[];
  wanted.forEach((next, index) => {
    const now = present[index];
    const { checked, value, children } = next as HTMLInputElement;
    if (!now) parent.append(next);
    else if (now.tagName + now.className !== next.tagName + next.className) now.replaceWith(next);
    else {
      if (children.length) adopt(now, [...children]);
      else set(now, { text: next.textContent });
      now.checked = checked;
      now.value = value;
    }
  });
  present.slice(wanted.length).forEach((each) => each.remove());
}
