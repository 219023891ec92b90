/** A small menu beside a button, for the keyboard as for the pointer. */
import { h, icon, type IconName } from "./dom.ts";

export interface Choice {
  icon: IconName;
  text: string;
  /** A shorter text at the end of the line, such as a time. */
  hint?: string;
  run(): void;
}

/** Opens a menu inside `panel`, beside `anchor`. Returns a function that closes it. */
export function openMenu(panel: HTMLElement, anchor: HTMLElement, label: string, choices: Choice[]): () => void {
  const menu = h("div", { class: "menu", part: "menu", role: "menu", "aria-label": label });
  const close = (isDone = false): void => {
    menu.remove();
    panel.removeEventListener("pointerdown", outside, true);
    anchor.setAttribute("aria-expanded", "false");
    if (!isDone && anchor.isConnected) anchor.focus();
  };
  const outside = (event: Event): void => {
    if (!event.composedPath().includes(menu)) close(true);
  };
  for (const { icon: name, text, hint, run } of choices) {
    const choose = (event: Event): void => {
      event.stopPropagation();
      close();
      run();
    };
    const props = { type: "button", role: "menuitem", tabindex: -1, onclick: choose };
    menu.append(h("button", props, icon(name), h("span", { text }), hint ? h("small", { text: hint }) : null));
  }
  menu.addEventListener("keydown", (event) => onKey(event, menu, close));
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !menu.contains(relatedTarget as Node)) close(true);
  });
  panel.addEventListener("pointerdown", outside, true);
  panel.append(menu);
  place(menu, panel, anchor);
  anchor.setAttribute("aria-expanded", "true");
  (menu.firstElementChild as HTMLElement).focus();
  return close;
}

function onKey(event: KeyboardEvent, menu: HTMLElement, close: () => void): void {
  const all = [...menu.children] as HTMLElement[];
  const root = menu.getRootNode() as ShadowRoot;
  const at = all.indexOf(root.activeElement as HTMLElement);
  const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  const to = steps[event.key];
  event.stopPropagation(); // keys of the list have no meaning here
  if (to !== undefined) all.at(to % all.length)?.focus();
  else if (event.key === "Escape" || event.key === "Tab") close();
  else return;
  event.preventDefault();
}

/** Sets the position by properties: a style attribute would break a strict policy. */
function place(menu: HTMLElement, panel: HTMLElement, anchor: HTMLElement): void {
  const frame = panel.getBoundingClientRect();
  const from = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const isRight = getComputedStyle(panel).direction === "rtl";
  const wanted = isRight ? from.left : from.right - width;
  const left = Math.max(8, Math.min(wanted - frame.left, frame.width - width - 8));
  const below = from.bottom - frame.top + 4;
  const above = from.top - frame.top - height - 4;
  const top = below + height > frame.height - 8 && above > 8 ? above : below;
  menu.style.setProperty("--mx", `${left}px`);
  menu.style.setProperty("--my", `${top}px`);
}
