/**
 * The connection by which frames come: a WebSocket, or server-sent events, or long polls.
 *
 * A transport that cannot be opened twice is followed by the next one. Every reconnection says the
 * position up to which frames were applied, so that nothing is missed.
 */
import type { Api } from "./api.ts";
import type { Frame, Position } from "./types.ts";

const PING_MS = 25_000;
const SILENCE_MS = 60_000;
const PROBE_MS = 8_000;
const GROUP_MS = 100;
const MOST_GROUPED = 2_000;
const POLL_S = 25;
const LONGEST_WAIT_MS = 60_000;
/** So long a fallback is used before the WebSocket is tried again. */
const FALLBACK_MS = 300_000;
const STABLE_MS = 10_000;
const ATTEMPTS = 2;

export type Status = "connecting" | "live" | "waiting" | "refused";

export interface WireOptions {
  api: Api;
  position(): Position | null;
  frames(frames: Frame[]): void;
  status(status: Status): void;
  /** The service wants another token, or refuses this one. Says whether there is a fresh one. */
  renew(reason: "expiring" | "rejected"): Promise<boolean>;
}

/**
 * How a transport ended. `code` is a close code of the service, or 0; `wait` is how long it asks to
 * wait, in milliseconds, so that not all clients come back at once.
 */
interface End {
  opened: boolean;
  code: number;
  wait?: number;
}

type Transport = (signal: AbortSignal) => Promise<End>;

/** Returns how long to wait, in milliseconds: longer after each failure, and never the same. */
export function backoff(failures: number, random: number): number {
  return Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(failures, 10)) * (0.5 + random / 2);
}

export function codeOf(status: number): number {
  return { 401: 4401, 403: 4403, 429: 4429 }[status] ?? 0;
}

/** Splits a stream of server-sent events. Returns the frames, and the text after the last one. */
export function parseEvents(text: string): { frames: Frame[]; rest: string } {
  const parts = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = parts.pop() ?? "";
  const frames: Frame[] = [];
  for (const part of parts) {
    let type = "";
    const data: string[] = [];
    for (const line of part.split("\n")) {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (name === "event") type = value ?? "";
      if (name === "data") data.push(value ?? "");
    }
    const frame = type ? readFrame(`{"type":${JSON.stringify(type)},"data":${data.join("\n")}}`) : null;
    if (frame) frames.push(frame);
  }
  return { frames, rest };
}

export function readFrame(text: unknown): Frame | null {
  try {
    const found = JSON.parse(String(text)) as Frame | null;
    return found && typeof found.type === "string" && found.data instanceof Object ? found : null;
  } catch {
    return null;
  }
}

interface Events {
  events?: Frame[];
  resync?: boolean;
  epoch: string;
  seq: number;
  unread?: number;
}

/** Returns what happened after a position: waits up to `wait` seconds for something to happen. */
export async function eventsAfter(
  api: Api,
  after: Position,
  wait: number,
  signal?: AbortSignal,
): Promise<Frame[] | number> {
  const query = new URLSearchParams({ after: `${after.epoch}.${after.seq}`, wait: String(wait) });
  const late = AbortSignal.timeout((wait + 15) * 1000);
  const ends = signal ? AbortSignal.any([signal, late]) : late;
  const response = await api.send(`/inbox/events?${query}`, { signal: ends });
  if (!response.ok) return response.status;
  const { events = [], resync, epoch, seq, unread } = (await response.json()) as Events;
  if (!resync)
    return unread === undefined ? events : [...events, { type: "unread", data: { count: unread, epoch, seq } }];
  const now = await api.call<{ unread: number } & Position>("/inbox/unread");
  return [
    { type: "resync", data: { epoch, seq } },
    { type: "unread", data: { count: now.unread, epoch: now.epoch, seq: now.seq } },
  ];
}

export class Wire {
  readonly #options: WireOptions;
  readonly #transports: Transport[];
  #stop: AbortController | null = null;
  #wake: () => void = () => {};
  #socket: WebSocket | null = null;
  #heard = 0;
  #group: Frame[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WireOptions) {
    this.#options = options;
    this.#transports = [
      (signal) => this.#webSocket(signal),
      (signal) => this.#stream(signal),
      (signal) => this.#poll(signal),
    ];
  }

  start(): void {
    if (this.#stop) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#wake();
  }

  /** Sends a frame on the open WebSocket. Says whether there is one. */
  send(type: string, data: unknown): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ type, data }));
    return true;
  }

  /** The page is visible or online again: ends a wait, and finds out whether a socket is dead. */
  wake(): void {
    this.#wake();
    if (!this.send("ping", {})) return;
    const socket = this.#socket;
    const before = this.#heard;
    setTimeout(() => {
      if (this.#socket === socket && this.#heard === before) this.#drop();
    }, PROBE_MS);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let [mode, unopened, failures, fellBack] = [0, 0, 0, 0];
    while (!signal.aborted) {
      this.#options.status("connecting");
      const began = Date.now();
      const end = await this.#transports[mode]!(signal).catch((): End => ({ opened: false, code: 0 }));
      this.#flush();
      if (signal.aborted) return;
      if (end.code === 4401 || end.code === 4403) {
        [mode, unopened] = [0, 0];
        if (end.code === 4401 && (await this.#options.renew("rejected"))) {
          await this.#pause(backoff(failures++, Math.random()), signal);
          continue;
        }
        this.#options.status("refused"); // until there is another token: see `start`
        this.#stop = null;
        return;
      }
      failures = end.opened && Date.now() - began > STABLE_MS ? 0 : failures + 1;
      unopened = end.opened ? 0 : unopened + 1;
      if (unopened >= ATTEMPTS) {
        mode = (mode + 1) % this.#transports.length;
        unopened = 0;
        fellBack = Date.now();
      } else if (mode && Date.now() - fellBack > FALLBACK_MS) mode = 0;
      this.#options.status("waiting");
      const wait = backoff(end.code === 4429 ? failures + 5 : failures - 1, Math.random());
      await this.#pause(Math.min(end.wait || wait, LONGEST_WAIT_MS), signal);
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (signal.aborted) this.#wake();
    });
  }

  #after(): string {
    const position = this.#options.position();
    return position ? `${position.epoch}.${position.seq}` : "";
  }

  #webSocket(signal: AbortSignal): Promise<End> {
    const { api } = this.#options;
    const url = new URL(`${api.base}/ws/notifications/`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#after()) url.searchParams.set("after", this.#after());
    return new Promise((resolve) => {
      // The subprotocol carries the token, so that it is in no log of addresses.
      const socket = new WebSocket(url, ["carillon.v1", `bearer.${api.token}`]);
      let opened = false;
      const end = (code: number, reason = ""): void => {
        clearInterval(pings);
        signal.removeEventListener("abort", close);
        if (this.#socket === socket) this.#socket = null;
        socket.onclose = socket.onmessage = socket.onopen = null;
        socket.close();
        resolve({ opened, code, wait: Number(/(\d+) ms/.exec(reason)?.[1] ?? 0) });
      };
      const close = (): void => end(0);
      this.#drop = close;
      const pings = setInterval(() => {
        if (Date.now() - this.#heard > SILENCE_MS) close();
        else this.send("ping", {});
      }, PING_MS);
      this.#heard = Date.now();
      signal.addEventListener("abort", close);
      socket.onopen = () => {
        opened = true;
        this.#socket = socket;
        this.#options.status("live");
      };
      socket.onmessage = ({ data }) => {
        this.#heard = Date.now();
        const frame = readFrame(data);
        if (frame) this.#take(frame);
      };
      socket.onclose = ({ code, reason }) => end(code, reason);
    });
  }

  #drop: () => void = () => {};

  async #stream(signal: AbortSignal): Promise<End> {
    const local = new AbortController();
    const close = (): void => local.abort();
    let silence = setTimeout(close, SILENCE_MS);
    const end: End = { opened: false, code: 0 };
    try {
      const after = this.#after();
      const response = await this.#options.api.send("/inbox/stream", {
        headers: { Accept: "text/event-stream", ...(after && { "Last-Event-ID": after }) },
        signal: AbortSignal.any([signal, local.signal]),
      });
      if (!response.ok) return { ...end, code: codeOf(response.status) };
      end.opened = true;
      this.#options.status("live");
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return end;
        clearTimeout(silence);
        silence = setTimeout(close, SILENCE_MS);
        const found = parseEvents(rest + value);
        rest = found.rest;
        for (const frame of found.frames) this.#take(frame, close);
      }
    } catch {
      return end;
    } finally {
      clearTimeout(silence);
      close();
    }
  }

  async #poll(signal: AbortSignal): Promise<End> {
    const { api, position } = this.#options;
    let opened = false;
    while (!signal.aborted) {
      const after = position();
      if (!after) return { opened, code: 0 };
      const began = Date.now();
      const found = await eventsAfter(api, after, POLL_S, signal).catch(() => 0);
      if (typeof found === "number") return { opened, code: codeOf(found) };
      if (!opened) this.#options.status("live");
      opened = true;
      for (const frame of found) this.#take(frame);
      this.#flush();
      if (Date.now() - began < 1000) await this.#pause(1000, signal); // of an impatient proxy
    }
    return { opened, code: 0 };
  }

  /** Takes a frame. Those of one event are applied together with the count that ends them. */
  #take(frame: Frame, reconnect?: () => void): void {
    if (frame.type === "token") {
      void this.#options.renew("expiring").then((isFresh) => {
        if (isFresh && reconnect) reconnect(); // a stream takes a token at its start only
      });
      return;
    }
    if (frame.type === "pong" || frame.type === "presence" || frame.type === "error") return;
    this.#group.push(frame);
    if (frame.type === "unread" || this.#group.length >= MOST_GROUPED) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), GROUP_MS);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#group.length) return;
    const group = this.#group;
    this.#group = [];
    this.#options.frames(group);
  }
}
