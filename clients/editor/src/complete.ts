// Completes variables, filters and statements of a template at the place of the cursor.
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";

/** What a text may read and call. */
export interface Words {
  variables: string[];
  filters: string[];
}

const STATEMENTS = ["if", "elif", "else", "endif", "for", "endfor", "set", "block", "endblock", "extends", "include", "import", "from", "macro", "endmacro"];
const LOOKED_AT = 500;

/** Returns the part of a line of code before the cursor; null outside of code. */
function codeBefore(context: CompletionContext): { code: string; isStatement: boolean } | null {
  const begin = Math.max(0, context.pos - LOOKED_AT);
  const before = context.state.sliceDoc(begin, context.pos);
  const at = Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%"));
  if (at < 0 || before.indexOf("}}", at) >= 0 || before.indexOf("%}", at) >= 0) return null;
  return { code: before.slice(at + 2), isStatement: before[at + 1] === "%" };
}

function options(names: readonly string[], type: string): Completion[] {
  return names.map((label) => ({ label, type }));
}

/** Returns a source of completions for the code of a text. */
export function completions(words: Words) {
  const variables = options(words.variables, "variable");
  const filters = options(words.filters, "function");
  const statements = options(STATEMENTS, "keyword");
  return (context: CompletionContext): CompletionResult | null => {
    const found = codeBefore(context);
    if (!found) return null;
    const word = /[\w.]*$/.exec(found.code)?.[0] ?? "";
    const rest = found.code.slice(0, found.code.length - word.length);
    if (!word && !context.explicit && !/[|{%]\s*$/.test(`{${rest}`)) return null;
    const from = context.pos - word.length;
    if (/\|\s*$/.test(rest)) return { from, options: filters, validFor: /^\w*$/ };
    if (found.isStatement && /^-?\s*$/.test(rest)) return { from, options: statements, validFor: /^\w*$/ };
    return { from, options: variables, validFor: /^[\w.]*$/ };
  };
}
