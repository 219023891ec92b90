import assert from "node:assert/strict";
import { test } from "node:test";
import { linkOf } from "../src/links.ts";
import { EN, RU, translator } from "../src/messages.ts";
import { ago, knownLocale, snoozeTimes } from "../src/time.ts";
import { channelName, claimsOf } from "../src/tokens.ts";
import { backoff, codeOf, parseEvents, readFrame } from "../src/wire.ts";

const PAGE = "https://school.example/courses/1";

test("only addresses of the web are opened", () => {
  const opened = (url: unknown): string | null => linkOf({ url }, PAGE);
  assert.equal(opened("/lessons/2"), "https://school.example/lessons/2");
  assert.equal(opened("lessons/2"), "https://school.example/courses/lessons/2");
  assert.equal(opened("https://other.example/x"), "https://other.example/x");
  assert.equal(opened(" HTTP://other.example/x"), "http://other.example/x");
  for (const bad of [
    "javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x",
    "vbscript:x", "file:///etc/passwd", "blob:https://school.example/1", "//evil.example/",
    "\\\\evil.example/", "/\\evil.example/", "/\t/evil.example/", "https://", "mailto:a@b.c", "",
    "  ", 7, null, {}, ["https://x.example"],
  ])
    assert.equal(opened(bad), null, JSON.stringify(bad));
  assert.equal(linkOf({ link: "/a" }, PAGE), "https://school.example/a");
  assert.equal(linkOf({ url: "javascript:1", link: "/a" }, PAGE), "https://school.example/a");
  for (const data of [null, undefined, "https://x.example", 3]) assert.equal(linkOf(data, PAGE), null);
});

test("both languages have the same texts, with the plural forms that they need", () => {
  assert.deepEqual(Object.keys(RU).sort(), Object.keys(EN).sort());
  const t = translator("ru");
  assert.equal(t("bell", { n: 1 }), "Уведомления, 1 непрочитанное");
  assert.equal(t("bell", { n: 5 }), "Уведомления, 5 непрочитанных");
  assert.equal(t("arrived", { n: 3, title: "" }), "3 новых уведомления");
  assert.equal(t("arrived", { n: 1, title: "{n} <b>" }), "Новое уведомление: {n} <b>");
});

test("own texts go first, and an unknown language is English", () => {
  const t = translator("de", { inbox: "Eingang", "category.course": "Kurs" });
  assert.equal(t("inbox"), "Eingang");
  assert.equal(t("unread"), "Unread");
  assert.equal(t.category("course"), "Kurs");
  assert.equal(t.category("payment", "Payment"), "Payment");
  assert.equal(t.category("x-y"), "x-y");
  const ru = translator("ru-RU");
  assert.equal(ru.category("course", "Course"), "Учёба");
  assert.equal(ru.category("course", "Evening courses"), "Evening courses", "an operator's own name");
  assert.equal(translator("ar-EG")("count", { n: 12 }), "١٢");
});

test("an invalid locale is English", () => {
  assert.equal(knownLocale("de-AT"), "de-AT");
  assert.equal(knownLocale("not a locale"), "en");
});

test("ages are short, and dates from a week on", () => {
  const now = Date.UTC(2026, 10, 30, 12);
  assert.equal(ago(now - 20_000, now, "en"), "now");
  assert.equal(ago(now + 20_000, now, "en"), "now", "a clock that is ahead");
  assert.equal(ago(now - 5 * 60_000, now, "en"), "5m ago");
  assert.equal(ago(now - 3 * 3_600_000, now, "ru"), "3 ч назад");
  assert.equal(ago(now - 10 * 86_400_000, now, "en"), "Nov 20");
  assert.equal(ago(now - 400 * 86_400_000, now, "en"), "Oct 26, 2025");
});

test("every time to snooze until lies ahead, and none is offered twice", () => {
  for (let hour = 0; hour < 24 * 14; hour++) {
    const now = new Date(2026, 10, 20, hour, 30);
    const found = snoozeTimes(now);
    const times = found.map(({ until }) => until.getTime());
    assert.ok(times.every((time) => time > now.getTime()), String(now));
    assert.deepEqual(times, [...times].sort((a, b) => a - b), String(now));
    assert.equal(new Set(times).size, times.length, String(now));
  }
});

test("a token says whose it is, and a text that is no JWT says nothing", () => {
  const part = btoa(JSON.stringify({ user_id: "ada", exp: 7 })).replace(/=+$/, "");
  assert.deepEqual(claimsOf(`x.${part}.y`), { user_id: "ada", exp: 7 });
  for (const text of ["", "opaque", "a.b.c", `a.${btoa("null")}.c`]) assert.deepEqual(claimsOf(text), {});
  const name = channelName("https://n.example", "opaque-secret");
  assert.ok(!name.includes("opaque-secret"));
  assert.notEqual(name, channelName("https://n.example", "another"));
});

test("waits grow, differ, and have a limit", () => {
  assert.equal(backoff(0, 0), 500);
  assert.equal(backoff(0, 1), 1000);
  assert.equal(backoff(3, 1), 8000);
  for (const failures of [6, 50, 1e9]) assert.equal(backoff(failures, 1), 60_000);
});

test("server-sent events are split wherever the network splits them", () => {
  const text =
    ': hello\n\nid: e.1\nevent: unread\ndata: {"count":1,\ndata: "epoch":"e","seq":1}\n\n' +
    'event: change\r\ndata: {"seq":2,"kind":"read"}\r\n\r\nevent: unread\ndata: not json\n\n';
  for (let at = 0; at <= text.length; at++) {
    const first = parseEvents(text.slice(0, at));
    const second = parseEvents(first.rest + text.slice(at));
    assert.deepEqual(
      [...first.frames, ...second.frames].map(({ type }) => type),
      ["unread", "change"],
      String(at),
    );
  }
});

test("what is no frame is dropped", () => {
  for (const text of ["", "null", "1", "[]", '{"type":1,"data":{}}', '{"type":"unread"}', '{"type":"x","data":null}'])
    assert.equal(readFrame(text), null, text);
  assert.deepEqual(readFrame('{"type":"pong","data":{}}'), { type: "pong", data: {} });
  assert.deepEqual([401, 403, 429, 503].map(codeOf), [4401, 4403, 4429, 0]);
});
