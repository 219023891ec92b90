/** Requests to the service. Each has a timeout, and a refused token is renewed once. */
import { claimsOf } from "./tokens.ts";

const TIMEOUT_MS = 15_000;

export class ApiError extends Error {
  /** Of HTTP; 0 when there was no response. */
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Reason = "missing" | "expiring" | "rejected";

export interface Credentials {
  token: string;
  /** Obtains a fresh token, and says whether there is one. */
  renew(reason: Reason): Promise<boolean>;
}

interface Options {
  method?: string;
  body?: object | undefined;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export class Api {
  readonly base: string;
  readonly #credentials: Credentials;

  constructor(base: string, credentials: Credentials) {
    this.base = base.replace(/\/+$/, "");
    this.#credentials = credentials;
  }

  get token(): string {
    return this.#credentials.token;
  }

  /** Sends one request, without a renewal. It ends with `signal`, or after a time. */
  async send(path: string, options: Options = {}): Promise<Response> {
    const { method = "GET", body, headers, signal = AbortSignal.timeout(TIMEOUT_MS) } = options;
    const text = body && JSON.stringify(body);
    try {
      return await fetch(`${this.base}/api/v1${path}`, {
        method,
        body: text ?? null,
        headers: {
          Authorization: `Bearer ${this.token}`,
          ...(text && { "Content-Type": "application/json" }),
          ...headers,
        },
        credentials: "omit",
        cache: "no-store",
        signal,
      });
    } catch (error) {
      throw new ApiError(0, String(error));
    }
  }

  /** Returns the JSON of a response. Raises ApiError for any status but 2xx. */
  async call<T>(path: string, options: Options = {}): Promise<T> {
    if (!this.token) await this.#credentials.renew("missing");
    else if ((claimsOf(this.token).exp ?? Infinity) * 1000 < Date.now())
      await this.#credentials.renew("expiring");
    let response = await this.send(path, options);
    if (response.status === 401 && (await this.#credentials.renew("rejected")))
      response = await this.send(path, options);
    if (!response.ok) throw new ApiError(response.status, response.statusText);
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw new ApiError(0, String(error)); // cut off, or a page of a proxy
    }
  }
}
