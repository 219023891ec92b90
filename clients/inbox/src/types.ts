/** The values that the service sends and takes. Times are RFC 3339 texts. */

export interface Item {
  /** The public id of the notification. */
  id: string;
  title: string;
  body: string;
  data: Record<string, unknown>;
  category: string;
  type: string;
  /** 1 is the most urgent, 4 the least. */
  priority: number;
  created_at: string;
  /** The position of the arrival among all events of the person. */
  seq: number;
  read_at: string | null;
  archived_at: string | null;
  snoozed_until: string | null;
  seen_at: string | null;
}

export type Kind =
  | "read"
  | "unread"
  | "read_all"
  | "archived"
  | "unarchived"
  | "snoozed"
  | "returned"
  | "retracted"
  | "amended"
  | "preferences";

export interface Change {
  seq: number;
  kind: Kind;
  ids?: string[];
  /** Of `read_all`: every arrival with a position up to this one is read. */
  up_to?: number;
  /** Of `read_all`: only this category. */
  category?: string;
  fields?: { at?: string; until?: string } & Partial<Pick<Item, "title" | "body" | "data">>;
}

export interface Count {
  count: number;
  epoch: string;
  seq: number;
}

export interface Position {
  epoch: string;
  seq: number;
}

export type Frame =
  | { type: "notification"; data: Item }
  | { type: "change"; data: Change }
  | { type: "unread"; data: Count }
  | { type: "resync"; data: Position }
  | { type: "token"; data: { expires_at: string } }
  | { type: "error"; data: { code: string; detail: string } }
  | { type: "presence" | "pong"; data: unknown };

export interface Page extends Position {
  results: Item[];
  next_cursor?: string | null;
  next?: string | null;
  unread: number;
}

/** The lists that the inbox shows. `inbox` is all that is neither archived nor snoozed. */
export type View = "inbox" | "unread" | "snoozed" | "archived";

export type Action =
  | "read"
  | "unread"
  | "archive"
  | "unarchive"
  | "snooze"
  | "unsnooze"
  | "read-all";

/** What the service returns for an action. `seq` is the position of the change. */
export type Answer = Partial<Item> & { seq: number; unread: number; changed?: number };

export type Channel = "in_app" | "websocket" | "push" | "email" | "sms" | "telegram";
export type Switches = { [name in `${Channel}_enabled`]?: boolean };

export interface GlobalPreferences extends Switches {
  notifications_enabled?: boolean;
  marketing_enabled?: boolean;
  data_processing_consent?: boolean;
  quiet_hours_enabled?: boolean;
  quiet_hours_start?: string;
  quiet_hours_end?: string;
  dnd_until?: string | null;
  digest_frequency?: string;
}

export interface Preferences {
  global: GlobalPreferences;
  categories: Record<string, Switches>;
}

export interface Category {
  key: string;
  name: string;
  marketing?: boolean;
}
