/** Which address of an entry may be opened. */

/**
 * Returns the address in `data.url` or `data.link`, made absolute, or null.
 *
 * Only `http:` and `https:` are opened. A relative address stays on the page's own host.
 */
export function linkOf(data: unknown, page: string): string | null {
  const { url, link } = (data ?? {}) as Record<string, unknown>;
  for (const given of [url, link]) {
    if (typeof given !== "string" || !given.trim()) continue;
    try {
      const isAbsolute = /^https?:\/\//i.test(given.trim());
      const target = new URL(given, page);
      const isHere = target.origin === new URL(page).origin;
      if (/^https?:$/.test(target.protocol) && (isAbsolute || isHere)) return target.href;
    } catch {
      continue;
    }
  }
  return null;
}
