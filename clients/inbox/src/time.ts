/** How times are written, and the times until which an entry can be snoozed. Pure. */
import type { Messages } from "./messages.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const EVENING_H = 18;
export const MORNING_H = 9;

/** Returns a locale that `Intl` takes: the given one, or English. */
export function knownLocale(locale: string): string {
  try {
    return Intl.getCanonicalLocales(locale)[0] ?? "en";
  } catch {
    return "en";
  }
}

/** Returns a short text such as `5 min ago`, or the date when it is older than a week. */
export function ago(at: number, now: number, locale: string): string {
  const age = Math.max(0, now - at);
  if (age >= 7 * DAY) {
    const isOld = new Date(at).getFullYear() !== new Date(now).getFullYear();
    const year = isOld ? ({ year: "numeric" } as const) : {};
    return new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", ...year }).format(at);
  }
  const style = locale.startsWith("en") ? "narrow" : "short"; // narrow is "-3 h" elsewhere
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style });
  if (age < MINUTE) return format.format(0, "second");
  if (age < HOUR) return format.format(-Math.floor(age / MINUTE), "minute");
  if (age < DAY) return format.format(-Math.floor(age / HOUR), "hour");
  return format.format(-Math.floor(age / DAY), "day");
}

export function fullTime(at: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" }).format(at);
}

/** Returns the time of day, with the day when it is not today. */
export function shortTime(at: number, now: number, locale: string): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  const day = isToday ? {} : ({ weekday: "short", day: "numeric", month: "short" } as const);
  const format = { ...day, hour: "numeric", minute: "2-digit" } as const;
  return new Intl.DateTimeFormat(locale, format).format(at);
}

export interface Snooze {
  text: keyof Messages;
  until: Date;
}

/** Returns the times to choose from, on the clock of the browser. */
export function snoozeTimes(now: Date): Snooze[] {
  const at = (days: number, hour: number): Date =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour);
  const toMonday = (8 - now.getDay()) % 7 || 7;
  const found: Snooze[] = [{ text: "snoozeHour", until: new Date(now.getTime() + HOUR) }];
  if (now.getHours() < EVENING_H - 1) found.push({ text: "snoozeEvening", until: at(0, EVENING_H) });
  found.push({ text: "snoozeTomorrow", until: at(1, MORNING_H) });
  if (toMonday > 1) found.push({ text: "snoozeWeek", until: at(toMonday, MORNING_H) });
  return found;
}
