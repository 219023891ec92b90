/** `<carillon-inbox>`: the bell with its badge, and the panel that it opens. */
import { focused, h, icon, set } from "./dom.ts";
import css from "./inbox.css";
import { translator, type OwnMessages, type Translate } from "./messages.ts";
import { Panel, type PanelContext } from "./panel.ts";
import { InboxStore } from "./store.ts";
import { knownLocale } from "./time.ts";
import type { Reason } from "./api.ts";
import type { Item } from "./types.ts";

const GAP_PX = 8;
const EDGE_PX = 8;
const LEAST_ROOM_PX = 320;
const MOST_SHOWN = 99;

/** Its page answers with `respondWith`, at once: a token, or a promise of one. */
export interface TokenRequest {
  reason: Reason;
  respondWith(token: string | null | Promise<string | null>): void;
}

export interface InboxEventMap {
  "carillon-token": CustomEvent<TokenRequest>;
  "carillon-unread": CustomEvent<{ count: number }>;
  "carillon-arrived": CustomEvent<{ items: Item[] }>;
  /** Cancel it to open the entry in your own way. */
  "carillon-open": CustomEvent<{ item: Item; url: string | null }>;
}

let sheet: CSSStyleSheet | undefined;

/** One sheet for all elements. It is no inline style, so a strict policy allows it. */
function sharedSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  return sheet;
}

export class CarillonInbox extends HTMLElement {
  static readonly observedAttributes = [
    "src",
    "token",
    "locale",
    "lang",
    "messages",
    "view",
    "target",
  ];

  readonly #bell = h("button", { type: "button", class: "bell", part: "bell", "aria-haspopup": "dialog" });
  readonly #badge = h("span", { class: "badge", part: "badge", "aria-hidden": "true", hidden: true });
  readonly #live = h("div", { class: "sr", role: "status" });
  #panel: Panel | null = null;
  #store: InboxStore | null = null;
  #own: OwnMessages = {};
  #t: Translate = translator("en");
  #count = -1;
  #isQueued = false;
  #ends: (() => void)[] = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sharedSheet()];
    this.#bell.append(icon("bell"), this.#badge);
    this.#bell.addEventListener("click", () => this.toggle());
    root.append(this.#bell, this.#live);
  }

  /** The store behind the element, which has the lists and the actions; null without a page. */
  get store(): InboxStore | null {
    return this.#store;
  }

  get token(): string {
    return this.#store?.token ?? this.getAttribute("token") ?? "";
  }

  set token(token: string) {
    if (this.#store) this.#store.setToken(token);
    else this.setAttribute("token", token);
  }

  /** Own texts, which go before the built-in ones. */
  get messages(): OwnMessages {
    return this.#own;
  }

  set messages(messages: OwnMessages) {
    this.#own = messages;
    this.#dress();
  }

  get unread(): number {
    return this.#store?.unread ?? 0;
  }

  get #isInline(): boolean {
    return this.getAttribute("view") === "inline";
  }

  connectedCallback(): void {
    for (const name of ["token", "messages"] as const) this.#upgrade(name);
    this.#start();
  }

  disconnectedCallback(): void {
    // An element that is moved is connected again at once.
    queueMicrotask(() => {
      if (!this.isConnected) this.#stop();
    });
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now || !this.#store) return;
    if (name === "token") this.#store.setToken(now ?? "");
    else if (name === "src") this.#restart();
    else this.#dress();
  }

  /** Takes over a property that was set before the element was defined. */
  #upgrade(name: "token" | "messages"): void {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name] as never;
    delete (this as Partial<this>)[name];
    this[name] = value;
  }

  #start(): void {
    if (this.#store) return;
    const store = new InboxStore({
      base: new URL(this.getAttribute("src") ?? "/", document.baseURI).href,
      token: this.getAttribute("token") ?? "",
      renew: (reason) => this.#requestToken(reason),
    });
    this.#store = store;
    const onPage = (): void => store.wake();
    const onHide = (): void => store.stop();
    const onShow = (event: PageTransitionEvent): void => {
      if (event.persisted) void store.start();
    };
    const onOutside = (event: Event): void => {
      if (!event.composedPath().includes(this)) this.close(false);
    };
    const onPlace = (): void => this.#place();
    this.#ends = [
      store.on("change", () => this.#queue()),
      store.on("arrived", (items) => this.#announce(items)),
      listen(document, "visibilitychange", onPage),
      listen(window, "online", onPage),
      listen(window, "pagehide", onHide),
      listen(window, "pageshow", onShow as EventListener),
      listen(document, "pointerdown", onOutside),
      listen(window, "resize", onPlace),
      listen(window, "scroll", onPlace),
      listen(this, "focusout", (event) => this.#onFocusOut(event as FocusEvent)),
    ];
    this.#dress();
    void store.start();
  }

  #stop(): void {
    this.close(false);
    for (const end of this.#ends) end();
    this.#panel?.stop();
    this.#panel?.element.remove();
    this.#store?.stop();
    this.#panel = this.#store = null;
    this.#count = -1;
  }

  #restart(): void {
    this.#stop();
    if (this.isConnected) this.#start();
  }

  #requestToken(reason: Reason): Promise<string | null> {
    let answer: Promise<string | null> = Promise.resolve(null);
    const detail: TokenRequest = { reason, respondWith: (token) => (answer = Promise.resolve(token)) };
    this.dispatchEvent(new CustomEvent("carillon-token", { detail, bubbles: true, composed: true }));
    return answer;
  }

  #emit(name: string, detail: unknown): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  #locale(): string {
    const nearest = this.closest("[lang]")?.getAttribute("lang");
    return knownLocale(this.getAttribute("locale") || nearest || document.documentElement.lang || navigator.language);
  }

  /** Writes all texts anew: the language, the texts or the form may have changed. */
  #dress(): void {
    if (!this.#store) return;
    const locale = this.#locale();
    const given = parsed(this.getAttribute("messages"));
    const own = { ...given, ...this.#own };
    this.#t = translator(locale, own);
    const isInline = this.#isInline;
    const context: PanelContext = {
      t: this.#t,
      locale,
      messages: own,
      target: this.getAttribute("target") ?? "",
      isInline,
      close: () => this.close(),
      opened: (item, url) => this.#emit("carillon-open", { item, url }),
    };
    if (this.#panel) this.#panel.dress(context);
    else {
      this.#panel = new Panel(this.#store, context);
      this.shadowRoot!.append(this.#panel.element);
    }
    set(this.#panel.element, { popover: isInline ? false : "manual", lang: locale });
    this.#bell.hidden = isInline;
    set(this.#bell, { "aria-controls": "panel", "aria-expanded": String(this.#panel.isOpen && !isInline) });
    if (isInline && !this.#panel.isOpen) this.#panel.opened();
    this.#count = -1;
    this.#render();
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      this.#render();
    });
  }

  #render(): void {
    const { unread } = this;
    if (unread !== this.#count) {
      const isFirst = this.#count < 0;
      this.#count = unread;
      const format = new Intl.NumberFormat(this.#locale());
      const text = unread > MOST_SHOWN ? `${format.format(MOST_SHOWN)}+` : format.format(unread);
      set(this.#badge, { hidden: !unread, text });
      const label = unread ? this.#t("bell", { n: unread }) : this.#t("title");
      set(this.#bell, { "aria-label": label, title: label });
      if (!isFirst || unread) this.#emit("carillon-unread", { count: unread });
    }
    this.#panel?.render();
  }

  #announce(items: Item[]): void {
    this.#emit("carillon-arrived", { items });
    if (document.visibilityState !== "visible") return;
    const { title, body } = items.at(-1)!;
    set(this.#live, { text: this.#t("arrived", { n: items.length, title: title || body }) });
  }

  get isOpen(): boolean {
    return this.#panel?.isOpen ?? false;
  }

  toggle(): void {
    if (this.isOpen) this.close();
    else this.open();
  }

  open(): void {
    const panel = this.#panel;
    if (!panel || panel.isOpen || this.#isInline) return;
    panel.element.showPopover?.();
    this.#place();
    set(this.#bell, { "aria-expanded": "true" });
    panel.opened();
    panel.focus();
  }

  /** Closes the panel. The focus returns to the bell where it was in the panel. */
  close(returnsFocus = true): void {
    const panel = this.#panel;
    if (!panel?.isOpen || this.#isInline) return;
    const hadFocus = panel.element.contains(focused());
    panel.closed();
    if (panel.element.matches(":popover-open")) panel.element.hidePopover();
    set(this.#bell, { "aria-expanded": "false" });
    if (hadFocus && returnsFocus) this.#bell.focus();
  }

  /** The panel covers what is behind it, so it closes when the focus goes there. */
  #onFocusOut({ relatedTarget }: FocusEvent): void {
    if (relatedTarget && relatedTarget !== this) this.close(false);
  }

  /** Places the panel below the bell or above it, inside the window. */
  #place(): void {
    const panel = this.#panel?.element;
    if (!panel || this.#isInline || !this.isConnected) return;
    const bell = this.#bell.getBoundingClientRect();
    const width = panel.offsetWidth;
    const isRtl = getComputedStyle(this).direction === "rtl";
    const isAtStart = this.getAttribute("placement") === "start";
    const wanted = isAtStart === isRtl ? bell.right - width : bell.left;
    const left = Math.max(EDGE_PX, Math.min(wanted, innerWidth - width - EDGE_PX));
    const below = innerHeight - bell.bottom - GAP_PX - EDGE_PX;
    const above = bell.top - GAP_PX - EDGE_PX;
    const isBelow = below >= LEAST_ROOM_PX || below >= above;
    panel.style.setProperty("--room", `${Math.max(200, isBelow ? below : above)}px`);
    const top = isBelow ? bell.bottom + GAP_PX : bell.top - GAP_PX - panel.offsetHeight;
    panel.style.setProperty("--x", `${left}px`);
    panel.style.setProperty("--y", `${top}px`);
  }
}

function listen(target: EventTarget, type: string, listener: EventListener): () => void {
  target.addEventListener(type, listener);
  return () => target.removeEventListener(type, listener);
}

function parsed(text: string | null): OwnMessages {
  try {
    return (JSON.parse(text ?? "{}") as OwnMessages | null) ?? {};
  } catch {
    return {};
  }
}
