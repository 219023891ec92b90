/** What the page's token says of itself. The service verifies it; this does not. */

export interface Claims {
  exp?: number;
  sub?: unknown;
  user_id?: unknown;
}

export function claimsOf(token: string): Claims {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (each) => each.charCodeAt(0)));
    return (JSON.parse(text) as Claims | null) ?? {};
  } catch {
    return {}; // an opaque token
  }
}

/**
 * Returns a name that all pages of one person at one service share. Different people in two tabs
 * must not share a connection.
 */
export function channelName(service: string, token: string): string {
  const { user_id, sub } = claimsOf(token);
  return `carillon-inbox ${service} ${String(user_id ?? sub ?? hash(token))}`;
}

/** FNV-1a, so that the token itself is in no name. */
function hash(text: string): string {
  let sum = 0x811c9dc5;
  for (const each of text) sum = Math.imul(sum ^ each.codePointAt(0)!, 0x01000193);
  return (sum >>> 0).toString(36);
}
