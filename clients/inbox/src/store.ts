/** One person's inbox without a page: loads lists, follows the connection, acts. */
import { Api, ApiError, type Credentials, type Reason } from "./api.ts";
import { Share } from "./share.ts";
import {
  applyCount,
  applyFrames,
  applyPage,
  begin,
  confirm,
  emptyState,
  fail,
  isOutdated,
  itemOf,
  listOf,
  unreadOf,
  type Pending,
  type State,
} from "./state.ts";
import { channelName, claimsOf } from "./tokens.ts";
import type { Action, Answer, Frame, Item, Page, Position, View } from "./types.ts";
import { backoff, eventsAfter, Wire, type Status } from "./wire.ts";

/** The service takes so many ids in one request. */
export const MOST_IDS = 100;
/** A token is replaced so long before its end. */
const MARGIN_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RENEWAL_MS = 30_000;
const SEEN_MS = 1000;

export interface StoreOptions {
  /** The address of the service, without a path. */
  base: string;
  token: string;
  /** Obtains a fresh token, or null where there is none. */
  renew(reason: Reason): Promise<string | null>;
}

export interface StoreEvents {
  /** The lists, the count or the status changed. */
  change: undefined;
  /** Notifications that arrived just now, the oldest first. */
  arrived: Item[];
  preferences: undefined;
  /** An action failed, and what it showed was undone. */
  failed: Pending;
}

export class InboxStore {
  state: State = emptyState();
  status: Status = "connecting";
  readonly api: Api;
  readonly #options: StoreOptions;
  readonly #credentials: Credentials;
  readonly #listeners = new Map<keyof StoreEvents, Set<(detail: never) => void>>();
  readonly #loading = new Map<View, Promise<void>>();
  readonly #failures = new Set<View>();
  #share: Share | null = null;
  #wire: Wire | null = null;
  #renewal: Promise<boolean> | null = null;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  /** Frames that wait until there is a position, or until what was missed is read. */
  #held: { frames: Frame[]; from: Position | null }[] | null = [];
  #actions: Promise<unknown> = Promise.resolve();
  #key = 0;
  #seen = new Set<string>();
  readonly #reported = new Set<string>();
  #session = 0;
  /** Whether any tab is visible. */
  #visible = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#credentials = { token: options.token, renew: (reason) => this.renew(reason) };
    this.api = new Api(options.base, this.#credentials);
  }

  get token(): string {
    return this.#credentials.token;
  }

  on<K extends keyof StoreEvents>(type: K, listener: (detail: StoreEvents[K]) => void): () => void {
    const all = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, all.add(listener));
    return () => all.delete(listener);
  }

  #emit<K extends keyof StoreEvents>(type: K, detail: StoreEvents[K]): void {
    for (const each of this.#listeners.get(type) ?? []) (each as (detail: StoreEvents[K]) => void)(detail);
  }

  /** Connects. Nothing is missed from the first answer on. */
  async start(): Promise<void> {
    const session = ++this.#session;
    if (!this.token && !(await this.renew("missing"))) return this.#setStatus("refused");
    if (session !== this.#session) return;
    this.#held ??= [];
    this.#share = new Share(channelName(this.api.base, this.token), {
      position: () => this.#position(),
      frames: (frames, from) => this.#follow(frames, from),
      leads: (isLeader) => this.#lead(isLeader),
      relay: (type, data) => this.#relay(type, data),
      token: (token) => this.setToken(token),
      status: (status) => this.#setStatus(status),
      visible: (visible) => {
        this.#visible = visible;
        this.#wire?.send("active", { visible });
      },
    });
    this.#share.start();
    await this.#begin(session);
  }

  stop(): void {
    this.#session++;
    this.#share?.stop();
    this.#share = null;
    clearTimeout(this.#expiry);
  }

  /** The page became visible or hidden, or is online again. */
  wake(): void {
    this.#share?.hello();
    if (document.visibilityState === "visible") this.#wire?.wake();
  }

  setToken(token: string): void {
    if (token === this.token) return;
    this.#credentials.token = token;
    this.#failures.clear();
    this.#wire?.send("token", { jwt: token });
    if (this.status === "refused") {
      this.#setStatus("connecting");
      if (!this.#share) void this.start();
      else if (this.#held) void this.#begin(this.#session);
    }
    if (this.#share?.leads && !this.#held) this.#wire?.start();
    this.#watchExpiry();
  }

  /** Obtains a fresh token; several requests for one are one. Says whether there is one. */
  renew(reason: Reason): Promise<boolean> {
    this.#renewal ??= this.#renew(reason).finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  async #renew(reason: Reason): Promise<boolean> {
    const before = this.token;
    const late = new Promise<null>((resolve) => setTimeout(resolve, RENEWAL_MS, null));
    const token = await Promise.race([this.#options.renew(reason), late]).catch(() => null);
    if (this.token !== before) return true; // another tab was faster
    if (!token || token === before) return false;
    this.setToken(token);
    this.#share?.token(token);
    return true;
  }

  #watchExpiry(): void {
    clearTimeout(this.#expiry);
    const { exp } = claimsOf(this.token);
    if (!exp || !this.#share?.leads) return;
    const left = exp * 1000 - Date.now();
    const wait = Math.max(1000, left - Math.min(MARGIN_MS, left / 5));
    if (wait < LONGEST_TIMER_MS) this.#expiry = setTimeout(() => void this.renew("expiring"), wait);
  }

  #position(): Position | null {
    const { epoch, seq } = this.state;
    return seq < 0 ? null : { epoch, seq };
  }

  async #begin(session: number): Promise<void> {
    for (let failures = 0; session === this.#session; failures++) {
      try {
        if (this.#position()) await this.#recover();
        else this.#set(applyCount(this.state, await this.api.call("/inbox/unread")));
        break;
      } catch (error) {
        if (error instanceof ApiError && (error.status === 401 || error.status === 403))
          return this.#setStatus("refused");
        this.#setStatus("waiting");
        await new Promise((resolve) => setTimeout(resolve, backoff(failures, Math.random())));
      }
    }
    if (session !== this.#session) return;
    this.#release();
    if (this.#share?.leads) this.#wire?.start();
  }

  /** Applies what was held back. */
  #release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const { frames, from } of held) this.#follow(frames, from);
  }

  #lead(isLeader: boolean): void {
    this.#wire?.stop();
    this.#wire = null;
    this.#watchExpiry();
    if (!isLeader) return;
    this.#wire = new Wire({
      api: this.api,
      position: () => this.#position(),
      frames: (frames) => {
        const from = this.#position();
        this.#apply(frames);
        this.#share?.frames(frames, from);
        if (this.state.seq > (from?.seq ?? -1)) this.#wire?.send("ack", { seq: this.state.seq });
      },
      status: (status) => {
        this.#setStatus(status);
        this.#share?.status(status);
        if (status === "live") this.#wire?.send("active", { visible: this.#visible });
      },
      renew: (reason) => this.renew(reason),
    });
    if (!this.#held) this.#wire.start();
  }

  /** Applies frames of the leader. Where some were missed before them, those are read first. */
  #follow(frames: Frame[], from: Position | null): void {
    if (this.#held) return void this.#held.push({ frames, from });
    const own = this.#position();
    const isBehind = from && own && (from.epoch !== own.epoch || from.seq > own.seq);
    if (isBehind && frames[0]?.type !== "resync") {
      this.#held = [{ frames, from: null }];
      this.#recover().then(
        () => this.#release(),
        () => (this.#held = null), // the next batch tries again
      );
      return;
    }
    if (frames.length) this.#apply(frames);
  }

  async #recover(): Promise<void> {
    const own = this.#position();
    if (!own) return;
    const found = await eventsAfter(this.api, own, 0);
    if (typeof found === "number") throw new ApiError(found, "");
    this.#apply(found);
  }

  #apply(frames: Frame[]): void {
    const before = this.state;
    this.#set(applyFrames(before, frames));
    const last = frames.findLast((frame) => frame.type === "resync");
    if (last) return;
    const fresh = frames.flatMap((frame) =>
      frame.type === "notification" && frame.data.seq > before.seq && !before.known.has(frame.data.id)
        ? [frame.data]
        : [],
    );
    if (fresh.length) this.#emit("arrived", fresh);
    if (frames.some((frame) => frame.type === "change" && frame.data.kind === "preferences"))
      this.#emit("preferences", undefined);
  }

  #set(state: State): void {
    this.state = state;
    this.#emit("change", undefined);
  }

  #setStatus(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    this.#emit("change", undefined);
  }

  list(view: View): Item[] {
    return listOf(this.state, view);
  }

  get unread(): number {
    return unreadOf(this.state);
  }

  hasFailed(view: View): boolean {
    return this.#failures.has(view);
  }

  isLoading(view: View): boolean {
    return this.#loading.has(view);
  }

  hasMore(view: View): boolean {
    return this.state.windows[view].cursor !== null;
  }

  /** Loads the first page of a list where it is missing or stale. */
  async open(view: View): Promise<void> {
    const { loaded, stale } = this.state.windows[view];
    if (!loaded || stale) await this.#load(view, null);
  }

  /** Loads the next page of a list. */
  async more(view: View): Promise<void> {
    const { cursor } = this.state.windows[view];
    if (cursor !== null) await this.#load(view, cursor);
  }

  #load(view: View, cursor: string | null): Promise<void> {
    const running = this.#loading.get(view);
    if (running) return running;
    const load = async (): Promise<void> => {
      const query = new URLSearchParams();
      if (view !== "inbox") query.set("status", view);
      if (cursor !== null) query.set("cursor", cursor);
      this.#failures.delete(view);
      try {
        const { epoch } = this.state;
        const page = await this.api.call<Page>(`/inbox?${query}`);
        if (!isOutdated(this.state, epoch, page)) this.state = applyPage(this.state, view, page, cursor);
      } catch {
        this.#failures.add(view);
      }
    };
    const loading = load().finally(() => {
      this.#loading.delete(view);
      this.#emit("change", undefined);
    });
    this.#loading.set(view, loading);
    this.#emit("change", undefined);
    return loading;
  }

  /** Acts at once on the page, then at the service. Says whether the service did it. */
  act(action: Action, ids: readonly string[], until?: Date): Promise<boolean> {
    const at = new Date().toISOString();
    const pending: Pending = { key: ++this.#key, action, ids, at, epoch: this.state.epoch };
    if (until) pending.until = until.toISOString();
    if (action === "read-all") pending.upTo = Math.max(0, this.state.seq);
    this.#set(begin(this.state, pending));
    const done = this.#actions.then(() => this.#post(pending)); // in the order of the actions
    this.#actions = done;
    return done;
  }

  async #post(pending: Pending): Promise<boolean> {
    const { key, action, ids, until, upTo } = pending;
    try {
      let answer: Answer | undefined;
      if (action === "read-all")
        answer = await this.#send("/inbox/read-all", { up_to: upTo });
      else if (ids.length === 1)
        answer = await this.#send(`/inbox/${encodeURIComponent(ids[0]!)}/${action}`, until ? { until } : undefined);
      else
        for (let from = 0; from < ids.length; from += MOST_IDS)
          answer = await this.#send("/inbox/bulk", { ids: ids.slice(from, from + MOST_IDS), action });
      if (answer) this.#set(confirm(this.state, key, answer));
      return true;
    } catch {
      this.#set(fail(this.state, key));
      this.#emit("failed", pending);
      return false;
    }
  }

  #send(path: string, body?: object): Promise<Answer> {
    return this.api.call<Answer>(path, { method: "POST", body });
  }

  /** Reports, each second, which entries were shown in a visible page. */
  seen(ids: Iterable<string>): void {
    const isFirst = !this.#seen.size;
    for (const id of ids)
      if (!this.#reported.has(id) && !itemOf(this.state, id)?.seen_at) this.#seen.add(id);
    if (!isFirst || !this.#seen.size) return;
    setTimeout(() => {
      const found = [...this.#seen];
      this.#seen.clear();
      for (const id of found) this.#reported.add(id);
      for (let from = 0; from < found.length; from += MOST_IDS)
        this.#share?.relay("seen", { ids: found.slice(from, from + MOST_IDS) });
    }, SEEN_MS);
  }

  #relay(type: string, data: object): void {
    if (this.#wire?.send(type, data) || type !== "seen") return;
    this.api.call("/inbox/seen", { method: "POST", body: data }).catch(() => {});
  }
}
