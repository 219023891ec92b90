/** Makes elements. Texts are set as text, never as markup. */

type Props = Record<string, unknown>;
type Child = Node | string | null | false | undefined;

/**
 * Returns an element. `on…` are listeners; `text` is its text; true and false set or remove an
 * attribute; anything else is the value of an attribute.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  set(made, props);
  for (const child of children) if (child) made.append(child);
  return made;
}

export function set(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (name === "text") {
      if (element.textContent !== value) element.textContent = String(value);
    } else if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (value === false || value === null || value === undefined) {
      element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

const PATHS = {
  bell: "M8 2a4 4 0 0 0-4 4v2.6L2.9 11a.6.6 0 0 0 .5.9h9.2a.6.6 0 0 0 .5-.9L12 8.6V6a4 4 0 0 0-4-4ZM6.4 13.6a1.7 1.7 0 0 0 3.2 0",
  gear: "M3 4.5h5m3 0h2M3 11.5h2m3 0h5M11 4.5a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0ZM8 11.5a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0Z",
  close: "m4 4 8 8m0-8-8 8",
  check: "m3.5 8.5 3 3 6-7",
  checks: "m1.5 8.5 3 3 6-7M8 11l.5.5 6-7",
  dot: "M11 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0Z",
  archive: "M2.5 3.5h11v3h-11zM3.5 6.5v6h9v-6M6.5 9h3",
  inbox: "M2.5 9.5 4 3.5h8l1.5 6v3h-11zM2.5 9.5h3.2a2.4 2.4 0 0 0 4.6 0h3.2",
  clock: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM8 4.7V8l2.2 1.6",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  up: "M8 13V3.5M4 7l4-4 4 4",
  down: "m4 6 4 4 4-4",
  alert: "M8 5v3.5M8 11h.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
};
export type IconName = keyof typeof PATHS;
const SVG = "http://www.w3.org/2000/svg";

export function icon(name: IconName): SVGElement {
  const made = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  set(made, { viewBox: "0 0 16 16", class: `icon i-${name}`, "aria-hidden": "true" });
  set(path, { d: PATHS[name] });
  made.append(path);
  return made;
}

/** Returns a button that shows only an icon. Its label is also its tooltip. */
export function iconButton(name: IconName, label: string, act: (event: Event) => void, more: Props = {}): HTMLButtonElement {
  return h("button", { type: "button", class: "ib", "aria-label": label, title: label, onclick: act, ...more }, icon(name));
}

/** Returns the element with the focus, in whichever shadow tree it is. */
export function focused(): Element | null {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found;
}
