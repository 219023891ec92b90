/** The inbox without a page, for those who draw their own. */
export { ApiError } from "./api.ts";
export type { Reason } from "./api.ts";
export type { Messages, OwnMessages, Text } from "./messages.ts";
export { InboxStore } from "./store.ts";
export type { StoreEvents, StoreOptions } from "./store.ts";
export type { State } from "./state.ts";
export { linkOf } from "./links.ts";
export type { Action, Item, Page, Preferences, View } from "./types.ts";
export type { Status } from "./wire.ts";
