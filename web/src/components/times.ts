const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const withYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const DAY_MS = 86_400_000;

export function clockTime(time: number): string {
  return clock.format(time);
}

export function fullTime(time: number): string {
  return full.format(time);
}

/** For the line between two days. */
export function dayName(time: number, now: number): string {
  if (sameDay(time, now)) return "Today";
  if (sameDay(time, now - DAY_MS)) return "Yesterday";
  return new Date(time).getFullYear() === new Date(now).getFullYear() ? weekday.format(time) : withYear.format(time);
}

/** For the room list: the hour of today, the date before. */
export function briefTime(time: number, now: number): string {
  return sameDay(time, now) ? clock.format(time) : short.format(time);
}

function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}
