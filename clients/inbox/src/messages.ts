/** The texts of the component. A text with a number has a form for each plural of its language. */

export type Plural = { [form in Intl.LDMLPluralRule]?: string };
export type Text = string | Plural;
export type Messages = Record<keyof typeof EN, Text>;
/** Texts of the page. `category.<key>` is the name of a category. */
export type OwnMessages = Partial<Messages> & { [key: `category.${string}`]: Text };

export const EN = {
  title: "Notifications",
  bell: "Notifications, {n} unread" as Text,
  inbox: "Inbox",
  unread: "Unread",
  snoozed: "Snoozed",
  archived: "Archived",
  preferences: "Preferences",
  close: "Close",
  markAllRead: "Mark all as read",
  markRead: "Mark as read",
  markUnread: "Mark as unread",
  archive: "Archive",
  unarchive: "Move to inbox",
  snooze: "Snooze",
  unsnooze: "End snooze",
  snoozeHour: "For an hour",
  snoozeEvening: "Until this evening",
  snoozeTomorrow: "Until tomorrow",
  snoozeWeek: "Until next week",
  more: "Actions",
  until: "Until {time}",
  undo: "Undo",
  undone: "Undone",
  didRead: "Marked as read",
  didUnread: "Marked as unread",
  didArchive: "Archived",
  didUnarchive: "Moved to inbox",
  didSnooze: "Snoozed until {time}",
  didUnsnooze: "Snooze ended",
  didReadAll: "All marked as read",
  arrived: { one: "New notification: {title}", other: "{n} new notifications" } as Text,
  showNew: "{n} new" as Text,
  isUnread: "Unread",
  urgent: "Urgent",
  emptyInbox: "You’re all caught up",
  emptyInboxHint: "New notifications appear here.",
  emptyUnread: "Nothing unread",
  emptySnoozed: "Nothing snoozed",
  emptySnoozedHint: "Snoozed notifications come back at their time.",
  emptyArchived: "Nothing archived",
  failed: "This could not be loaded",
  actionFailed: "That did not work. Nothing was changed.",
  signedOut: "Your sign-in has ended",
  signedOutHint: "Reload the page to sign in again.",
  offline: "Reconnecting…",
  retry: "Try again",
  prefGeneral: "General",
  prefAll: "All notifications",
  prefAllHint: "If this is off, only urgent messages are sent.",
  prefMarketing: "News and offers",
  prefMarketingHint: "Only with your consent. If you turn this on, you agree that your data is used for them. Turn it off to withdraw that.",
  prefChannels: "Channels",
  prefTopics: "By topic",
  prefDigest: "Messages that are not urgent",
  digestImmediate: "Immediately",
  digestHourly: "Hourly digest",
  digestDaily: "Daily digest",
  digestWeekly: "Weekly digest",
  digestNever: "Only in the inbox",
  prefQuiet: "Quiet hours",
  prefFrom: "From",
  prefTo: "To",
  prefPause: "Do not disturb",
  pauseOff: "Off",
  pauseHour: "For an hour",
  pauseDay: "For a day",
  pauseWeek: "For a week",
  off: "Off",
  chInApp: "Inbox",
  chWebsocket: "In the open app",
  chPush: "Push",
  chEmail: "Email",
  chSms: "SMS",
  chTelegram: "Telegram",
  count: "{n}",
  saved: "Saved",
  "category.security": "Security",
  "category.payment": "Payment",
  "category.course": "Course",
  "category.announcement": "Announcement",
  "category.marketing": "Marketing",
  "category.system": "System",
  "category.digest": "Digest",
};

export const RU: Messages = {
  title: "Уведомления",
  bell: {
    one: "Уведомления, {n} непрочитанное",
    few: "Уведомления, {n} непрочитанных",
    other: "Уведомления, {n} непрочитанных",
  },
  inbox: "Входящие",
  unread: "Новые",
  snoozed: "Отложено",
  archived: "Архив",
  preferences: "Настройки",
  close: "Закрыть",
  markAllRead: "Прочитать всё",
  markRead: "Отметить прочитанным",
  markUnread: "Отметить непрочитанным",
  archive: "В архив",
  unarchive: "Вернуть во входящие",
  snooze: "Отложить",
  unsnooze: "Вернуть сейчас",
  snoozeHour: "На час",
  snoozeEvening: "До вечера",
  snoozeTomorrow: "До завтра",
  snoozeWeek: "До следующей недели",
  more: "Действия",
  until: "До {time}",
  undo: "Отменить",
  undone: "Отменено",
  didRead: "Отмечено прочитанным",
  didUnread: "Отмечено непрочитанным",
  didArchive: "Перемещено в архив",
  didUnarchive: "Возвращено во входящие",
  didSnooze: "Отложено до {time}",
  didUnsnooze: "Возвращено во входящие",
  didReadAll: "Всё прочитано",
  arrived: {
    one: "Новое уведомление: {title}",
    few: "{n} новых уведомления",
    other: "{n} новых уведомлений",
  },
  showNew: { one: "{n} новое", few: "{n} новых", other: "{n} новых" },
  isUnread: "Не прочитано",
  urgent: "Срочно",
  emptyInbox: "Всё прочитано",
  emptyInboxHint: "Новые уведомления появятся здесь.",
  emptyUnread: "Непрочитанных нет",
  emptySnoozed: "Отложенных нет",
  emptySnoozedHint: "Отложенные уведомления вернутся в своё время.",
  emptyArchived: "Архив пуст",
  failed: "Не удалось загрузить",
  actionFailed: "Не получилось. Ничего не изменено.",
  signedOut: "Вход завершён",
  signedOutHint: "Обновите страницу, чтобы войти снова.",
  offline: "Подключаемся…",
  retry: "Повторить",
  prefGeneral: "Общие",
  prefAll: "Все уведомления",
  prefAllHint: "Если выключено, приходят только срочные сообщения.",
  prefMarketing: "Новости и предложения",
  prefMarketingHint: "Только с вашего согласия. Включая, вы соглашаетесь, что для них используются ваши данные. Выключите, чтобы отозвать согласие.",
  prefChannels: "Каналы",
  prefTopics: "По темам",
  prefDigest: "Несрочные сообщения",
  digestImmediate: "Сразу",
  digestHourly: "Сводка каждый час",
  digestDaily: "Сводка раз в день",
  digestWeekly: "Сводка раз в неделю",
  digestNever: "Только во входящих",
  prefQuiet: "Тихие часы",
  prefFrom: "С",
  prefTo: "До",
  prefPause: "Не беспокоить",
  pauseOff: "Выключено",
  pauseHour: "На час",
  pauseDay: "На день",
  pauseWeek: "На неделю",
  off: "Выключено",
  chInApp: "Входящие",
  chWebsocket: "В открытом приложении",
  chPush: "Пуш",
  chEmail: "Почта",
  chSms: "SMS",
  chTelegram: "Telegram",
  count: "{n}",
  saved: "Сохранено",
  "category.security": "Безопасность",
  "category.payment": "Оплата",
  "category.course": "Учёба",
  "category.announcement": "Объявления",
  "category.marketing": "Новости и предложения",
  "category.system": "Сервис",
  "category.digest": "Сводки",
};

const BUILT_IN: Record<string, Messages> = { en: EN, ru: RU };

/** Returns a text. Numbers are written as the language does, and choose the plural form. */
export interface Translate {
  (key: keyof Messages, values?: Readonly<Record<string, string | number>>): string;
  /** Returns the name of a category: an own text, or the service's name, or the key. */
  category(key: string, name?: string): string;
}

/**
 * Returns the texts of a locale. What `own` does not have is built in for the locale's language,
 * or else English. The locale must be one that `Intl` takes.
 */
export function translator(locale: string, own: OwnMessages = {}): Translate {
  const built = BUILT_IN[locale.split("-")[0]!.toLowerCase()] ?? EN;
  const rules = new Intl.PluralRules(locale);
  const numbers = new Intl.NumberFormat(locale);
  const translate: Translate = (key, values = {}) => {
    const text = own[key] ?? built[key];
    const form =
      typeof text === "string"
        ? text
        : (text[rules.select(Number(values.n ?? 0))] ?? text.other ?? "");
    return form.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name] ?? "";
      return typeof value === "number" ? numbers.format(value) : value;
    });
  };
  translate.category = (key, name = "") => {
    const known = `category.${key}` as keyof Messages;
    if (own[known] || (built[known] && (!name || name === EN[known]))) return translate(known);
    return name || key;
  };
  return translate;
}
