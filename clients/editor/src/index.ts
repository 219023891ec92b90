// <template-editor>: makes the text fields inside of it editors, checks them and shows the draft.
// Without scripts the fields remain plain ones, and the buttons do the same.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { type Diagnostic, setDiagnostics } from "@codemirror/lint";
import { EditorState, type Extension } from "@codemirror/state";
import { drawSelection, EditorView, keymap, lineNumbers } from "@codemirror/view";

import { completions, type Words } from "./complete.ts";
import { templateLanguage } from "./language.ts";
import { look } from "./look.ts";

interface Fault {
  field: string;
  detail: string;
  line: number | null;
  column: number | null;
}

interface Checked {
  faults?: Fault[];
  warnings?: string[];
  fault?: string;
}

const IDLE_MS = 900;
const BUSY_MS = 10_000;
const nonce = (document.currentScript as HTMLScriptElement | null)?.nonce ?? "";

class TemplateEditor extends HTMLElement {
  private views = new Map<string, EditorView>();
  private form: HTMLFormElement | null = null;
  private timer = 0;
  private running: AbortController | null = null;
  private isChanged = false;

  connectedCallback(): void {
    this.form = this.querySelector("form");
    if (!this.form || this.views.size) return;
    const words = JSON.parse(this.dataset["words"] ?? "{}") as Words;
    for (const box of this.querySelectorAll<HTMLTextAreaElement>("textarea[data-language]")) this.enhance(box, words);
    this.form.addEventListener("submit", this.onSubmit);
    this.form.addEventListener("change", this.onChoice);
    window.addEventListener("beforeunload", this.onLeave);
    this.schedule(0);
  }

  disconnectedCallback(): void {
    window.removeEventListener("beforeunload", this.onLeave);
    clearTimeout(this.timer);
    this.running?.abort();
  }

  private enhance(box: HTMLTextAreaElement, words: Words): void {
    const label = this.querySelector(`label[for="${box.id}"]`)?.textContent ?? box.name;
    const view = new EditorView({
      state: EditorState.create({ doc: box.value, extensions: this.extensions(box, label, words) }),
    });
    box.before(view.dom);
    box.hidden = true;
    this.views.set(box.name, view);
  }

  private extensions(box: HTMLTextAreaElement, label: string, words: Words): Extension[] {
    const isHtml = box.dataset["language"] === "html";
    const attributes: Record<string, string> = {
      "aria-label": label,
      "aria-describedby": `${box.id}-faults`,
      spellcheck: "true",
      tabindex: "0",
      lang: box.lang,
      "data-field": box.name,
    };
    return [
      EditorView.cspNonce.of(nonce),
      history(),
      drawSelection(),
      closeBrackets(),
      EditorView.lineWrapping,
      isHtml ? lineNumbers() : [],
      templateLanguage(isHtml),
      autocompletion({ override: [completions(words)], icons: false }),
      // Tab moves the focus on, so that the keyboard can leave the editor.
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.contentAttributes.of(attributes),
      EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        box.value = update.state.doc.toString();
        this.isChanged = true;
        this.schedule(IDLE_MS);
      }),
      look,
    ];
  }

  private readonly onSubmit = (event: SubmitEvent): void => {
    if (event.submitter?.getAttribute("formtarget")) return;
    this.isChanged = false;
  };

  private readonly onChoice = (event: Event): void => {
    if (event.target instanceof HTMLSelectElement) this.refresh();
  };

  private readonly onLeave = (event: BeforeUnloadEvent): void => {
    if (this.isChanged) event.preventDefault();
  };

  private schedule(wait: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.check(), wait);
  }

  /** Has the texts checked; one check runs at a time, and the latest one counts. */
  private async check(): Promise<void> {
    if (!this.form) return;
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    try {
      const answer = await fetch(this.dataset["lint"] ?? "", { method: "POST", body: new FormData(this.form), signal: running.signal });
      if (answer.status === 429 || answer.status === 503) {
        this.schedule(BUSY_MS);
        return;
      }
      if (answer.redirected || !answer.headers.get("Content-Type")?.startsWith("application/json")) return;
      this.show((await answer.json()) as Checked);
    } catch (error) {
      if (!(error instanceof DOMException) && !(error instanceof TypeError)) throw error; // no connection
    }
  }

  private show(found: Checked): void {
    const faults = found.faults ?? [];
    for (const [field, view] of this.views) {
      const own = faults.filter((each) => each.field === field);
      view.dispatch(setDiagnostics(view.state, own.map((each) => diagnostic(view.state, each))));
      const place = this.querySelector(`[data-faults="${field}"]`);
      place?.replaceChildren(...own.map((each) => element("p", each.detail)));
    }
    const others = faults.filter((each) => !this.views.has(each.field)).map((each) => each.detail);
    const sentences = [...(found.fault ? [found.fault] : []), ...others, ...(found.warnings ?? [])];
    const section = this.querySelector<HTMLElement>("[data-warnings]");
    if (section) {
      section.hidden = sentences.length === 0;
      section.querySelector("ul")?.replaceChildren(...sentences.map((each) => element("li", each, "warn")));
    }
    if (!faults.length && !found.fault) this.refresh();
  }

  /** Shows the draft in a new frame: one that is navigated again would fill the history. */
  private refresh(): void {
    const button = this.querySelector<HTMLButtonElement>("button[formtarget]");
    const frame = this.querySelector("iframe");
    if (!button || !frame || !this.form) return;
    frame.replaceWith(frame.cloneNode());
    this.form.requestSubmit(button);
  }
}

function diagnostic(state: EditorState, fault: Fault): Diagnostic {
  const number = Math.min(Math.max(fault.line ?? 1, 1), state.doc.lines);
  const line = state.doc.line(number);
  const at = line.from + (fault.column ?? 1) - 1;
  const from = at < line.to ? at : line.from; // an end that is missing has no place of its own
  return { from, to: line.to, severity: "error", message: fault.detail };
}

function element(name: string, text: string, style = ""): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  if (style) made.className = style;
  return made;
}

customElements.define("template-editor", TemplateEditor);
