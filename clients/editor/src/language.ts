// Highlights the code of templates, and the tags around it. A grammar of HTML with its scripts and
// stylesheets would double the bundle; the service itself checks the texts.
import { StreamLanguage, type StringStream } from "@codemirror/language";

interface State {
  /** What the place is in: a text, a tag or a comment of HTML, or one of the three kinds of code. */
  place: "text" | "tag" | "comment" | "expression" | "statement" | "remark";
  /** What follows the end of the code. */
  outer: "text" | "tag" | "comment";
  /** Whether the next word is the name of a statement or, after a bar, of a filter. */
  expects: "" | "statement" | "filter";
  quote: string;
}

const WORDS = /^(?:and|else|if|ignore|import|in|is|missing|not|or|recursive|with|without|context|as)\b/;
const ENDS = { expression: "}}", statement: "%}", remark: "#}" } as const;

function begin(stream: StringStream, state: State): string | null {
  if (state.place !== "text" && state.place !== "tag" && state.place !== "comment") return null;
  const found = stream.match("{{") ? "expression" : stream.match("{%") ? "statement" : stream.match("{#") ? "remark" : null;
  if (!found) return null;
  state.outer = state.place;
  state.place = found;
  state.expects = found === "statement" ? "statement" : "";
  state.quote = "";
  return found === "remark" ? "comment" : "brace";
}

function code(stream: StringStream, state: State): string | null {
  const end = ENDS[state.place as keyof typeof ENDS];
  if (!state.quote && stream.match(end)) {
    const isRemark = state.place === "remark";
    state.place = state.outer;
    return isRemark ? "comment" : "brace";
  }
  if (state.place === "remark") {
    if (!stream.skipTo(end)) stream.skipToEnd();
    return "comment";
  }
  if (state.quote || stream.match(/^["']/, false)) {
    const quote = state.quote || String(stream.next());
    state.quote = stream.skipTo(quote) ? (stream.next(), "") : (stream.skipToEnd(), quote);
    return "string";
  }
  if (stream.eatSpace()) return null;
  if (stream.eat("|")) {
    state.expects = "filter";
    return "operator";
  }
  if (stream.match(/^\d[\d_.]*/)) return "number";
  if (state.expects && stream.match(/^[A-Za-z_]\w*/)) {
    const expected = state.expects;
    state.expects = "";
    return expected === "filter" ? "variableName.special" : "keyword";
  }
  if (stream.match(WORDS)) return "keyword";
  if (stream.match(/^(?:true|false|none)\b/i)) return "bool";
  if (stream.match(/^[A-Za-z_][\w.]*/)) return "variableName";
  stream.next();
  return null;
}

function markup(stream: StringStream, state: State): string | null {
  if (state.place === "comment") {
    if (stream.match("-->")) state.place = "text";
    else if (!stream.match(/^[^{-]+/)) stream.next();
    return "comment";
  }
  if (state.place === "tag") {
    if (stream.match(/^\/?>/)) {
      state.place = "text";
      return "angleBracket";
    }
    if (stream.match(/^[^\s=>"'{]+(?=\s*=)/)) return "attributeName";
    if (stream.match(/^"[^"{]*"?|^'[^'{]*'?/)) return "string";
    stream.next();
    return null;
  }
  if (stream.match("<!--")) {
    state.place = "comment";
    return "comment";
  }
  if (stream.match(/^<[/!]?[A-Za-z][\w:-]*/)) {
    state.place = "tag";
    return "tagName";
  }
  stream.next();
  stream.eatWhile(/[^<{]/);
  return null;
}

/** Returns the language of a text; `isHtml` highlights tags as well. */
export function templateLanguage(isHtml: boolean): StreamLanguage<State> {
  return StreamLanguage.define<State>({
    name: isHtml ? "template-html" : "template",
    startState: () => ({ place: "text", outer: "text", expects: "", quote: "" }),
    token(stream, state) {
      const begun = begin(stream, state);
      if (begun) return begun;
      if (state.place in ENDS) return code(stream, state);
      if (isHtml) return markup(stream, state);
      stream.next();
      stream.eatWhile(/[^{]/);
      return null;
    },
  });
}
