/**
 * One connection a browser: the tabs of one person agree on a leader, which has the connection.
 *
 * A Web Lock chooses the leader, and a BroadcastChannel carries its frames to the other tabs. Each
 * batch says from which position it goes on, so that a tab that missed one finds out. A tab of a
 * browser without either leads itself.
 */
import type { Frame, Position } from "./types.ts";
import type { Status } from "./wire.ts";

/** A leader that does not answer for so long is suspended by its browser: another tab takes over. */
const ANSWER_MS = 2_500;

export interface ShareOptions {
  position(): Position | null;
  /** Frames of the leader, which go on from `from`. */
  frames(frames: Frame[], from: Position | null): void;
  /** This tab is the leader now, or is so no longer. */
  leads(isLeader: boolean): void;
  /** The leader sends a frame of another tab. */
  relay(type: string, data: object): void;
  token(token: string): void;
  status(status: Status): void;
  /** Whether any tab is visible; only the leader is informed. */
  visible(isVisible: boolean): void;
}

type Message =
  | { is: "frames"; frames: Frame[]; from: Position | null; to?: string }
  | { is: "status"; status: Status }
  | { is: "token"; token: string }
  | { is: "relay"; type: string; data: object }
  | { is: "hello"; tab: string; visible: boolean }
  | { is: "leader" }
  | { is: "bye"; tab: string };

export class Share {
  readonly #name: string;
  readonly #options: ShareOptions;
  readonly #tab = Math.random().toString(36).slice(2);
  readonly #visibleTabs = new Set<string>();
  #channel: BroadcastChannel | null = null;
  #isStarted = false;
  /** Ends the request for the lock that waits. */
  #waiting = new AbortController();
  #release: () => void = () => {};
  #answered: () => void = () => {};
  #status: Status = "connecting";
  leads = false;

  constructor(name: string, options: ShareOptions) {
    this.#name = name;
    this.#options = options;
  }

  start(): void {
    this.#isStarted = true;
    if (typeof BroadcastChannel === "undefined" || !navigator.locks) {
      this.#lead(true);
      return;
    }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#receive(data as Message);
    this.#queue();
    this.hello();
  }

  stop(): void {
    this.#post({ is: "bye", tab: this.#tab });
    this.#answered();
    this.#waiting.abort();
    this.#isStarted = false;
    this.#release();
    this.#lead(false);
    this.#channel?.close();
    this.#channel = null;
  }

  /** Sends the leader's frames to the other tabs. */
  frames(frames: Frame[], from: Position | null): void {
    this.#post({ is: "frames", frames, from });
  }

  status(status: Status): void {
    this.#status = status;
    this.#post({ is: "status", status });
  }

  token(token: string): void {
    this.#post({ is: "token", token });
  }

  /** Has the leader send a frame; the leader itself sends its own. */
  relay(type: string, data: object): void {
    if (this.leads) this.#options.relay(type, data);
    else this.#post({ is: "relay", type, data });
  }

  /**
   * Says whether this tab is visible. A visible tab takes over from a leader that does not answer:
   * browsers suspend tabs in the background, and such a tab never gives its lock back.
   */
  hello(): void {
    const visible = document.visibilityState === "visible";
    if (this.leads) return this.#note(this.#tab, visible);
    this.#post({ is: "hello", tab: this.#tab, visible });
    if (!visible || !this.#channel) return;
    const timer = setTimeout(() => this.#queue(true), ANSWER_MS);
    this.#answered = () => clearTimeout(timer);
  }

  #post(message: Message): void {
    this.#channel?.postMessage(message);
  }

  #queue(steal = false): void {
    if (!this.#isStarted || this.leads) return;
    this.#waiting.abort();
    this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    const options = steal ? { steal } : { signal };
    navigator.locks
      .request(this.#name, options, () => {
        if (signal.aborted) return undefined;
        this.#lead(true);
        return new Promise<void>((resolve) => (this.#release = resolve));
      })
      .catch(() => {
        if (signal.aborted) return; // stopped, or about to take the lock by force
        this.#lead(false); // another tab took it
        this.#queue();
      });
  }

  #lead(isLeader: boolean): void {
    if (this.leads === isLeader) return;
    this.leads = isLeader;
    this.#visibleTabs.clear();
    if (isLeader) {
      this.#answered();
      this.#post({ is: "leader" });
      this.#note(this.#tab, document.visibilityState === "visible");
    }
    this.#options.leads(isLeader);
    if (isLeader) this.frames([], this.#options.position());
  }

  #note(tab: string, isVisible: boolean): void {
    if (isVisible) this.#visibleTabs.add(tab);
    else this.#visibleTabs.delete(tab);
    this.#options.visible(this.#visibleTabs.size > 0);
  }

  #receive(message: Message): void {
    switch (message.is) {
      case "frames":
        if (this.leads) return;
        this.#answered();
        return this.#options.frames(message.frames, message.from);
      case "status":
        if (this.leads) return;
        return this.#options.status(message.status);
      case "token":
        return this.#options.token(message.token);
      case "leader":
        return this.hello();
      case "relay":
        if (this.leads) this.#options.relay(message.type, message.data);
        return;
      case "bye":
        if (this.leads) this.#note(message.tab, false);
        return;
      case "hello":
        if (!this.leads) return;
        this.#note(message.tab, message.visible);
        this.#post({ is: "status", status: this.#status });
        this.frames([], this.#options.position());
    }
  }
}
