/** Defines `<carillon-inbox>`. */
import { CarillonInbox, type InboxEventMap } from "./element.ts";

export { CarillonInbox } from "./element.ts";
export type { InboxEventMap, TokenRequest } from "./element.ts";
export * from "./headless.ts";

declare global {
  interface HTMLElementTagNameMap {
    "carillon-inbox": CarillonInbox;
  }
  interface HTMLElementEventMap extends InboxEventMap {}
}

if (!customElements.get("carillon-inbox")) customElements.define("carillon-inbox", CarillonInbox);
