/** A line that says what was done, with a button that undoes it. It is read out. */
import { h } from "./dom.ts";

const SHOWN_MS = 8_000;

export class Toast {
  /** Always in the page, so that screen readers notice a new text in it. */
  readonly element = h("div", { role: "status" });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #undo: (() => void) | null = null;

  constructor() {
    // A person who reaches for the button has as long as they need.
    const pause = (): void => clearTimeout(this.#timer);
    const resume = (): void => this.#start();
    for (const type of ["pointerenter", "focusin"]) this.element.addEventListener(type, pause);
    for (const type of ["pointerleave", "focusout"]) this.element.addEventListener(type, resume);
  }

  show(text: string, undo?: { text: string; run(): void }): void {
    this.#undo = undo?.run ?? null;
    const button = undo && h("button", { type: "button", text: undo.text, "aria-keyshortcuts": "Z", onclick: () => this.undo() });
    this.element.replaceChildren(h("div", { class: "toast", part: "toast" }, h("span", { text }), button));
    this.#start();
  }

  /** Undoes what the line says. Says whether there was something to undo. */
  undo(): boolean {
    const undo = this.#undo;
    if (undo) {
      this.hide();
      undo();
    }
    return !!undo;
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#undo = null;
    this.element.replaceChildren();
  }

  #start(): void {
    clearTimeout(this.#timer);
    if (this.element.firstChild) this.#timer = setTimeout(() => this.hide(), SHOWN_MS);
  }
}
