// Numbers and times as a person in operations says them. All times are UTC.

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;
const WHOLE = new Intl.NumberFormat("en-GB");
const ROUGH = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 2 });
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** 12345 → 12,345 */
export function count(number) {
  return WHOLE.format(number);
}

/** 1 node, 2 nodes */
export function many(number, one, several = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : several}`;
}

/** ln E → E with two digits that matter: 353.4 → 350, 0.0123 → 0.012, huge → 10^24 */
export function wealth(log) {
  if (log > Math.log(1e6)) return `10^${Math.floor(log / Math.LN10)}`;
  return ROUGH.format(Math.exp(log));
}

/** 0.853 → 85 % */
export function percent(share) {
  return `${ROUGH.format(100 * share)} %`;
}

/** 03:41Z */
export function clock(ms) {
  return `${new Date(ms).toISOString().slice(11, 16)}Z`;
}

/** 03:41:07Z */
export function clockS(ms) {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`;
}

/** Wed 9 Jul 23:30Z, with the year where it is not this one */
export function stamp(ms, nowMs = Date.now()) {
  const t = new Date(ms);
  const year = t.getUTCFullYear() === new Date(nowMs).getUTCFullYear() ? "" : ` ${t.getUTCFullYear()}`;
  return `${DAYS[t.getUTCDay()]} ${t.getUTCDate()} ${MONTHS[t.getUTCMonth()]}${year} ${clock(ms)}`;
}

/** 8 s, 12 min, 3 h 05 min, 4 d 2 h */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < MINUTE_S) return `${s} s`;
  if (s < HOUR_S) return `${Math.floor(s / MINUTE_S)} min`;
  if (s < DAY_S) {
    const minutes = String(Math.floor((s % HOUR_S) / MINUTE_S)).padStart(2, "0");
    return `${Math.floor(s / HOUR_S)} h ${minutes} min`;
  }
  return `${Math.floor(s / DAY_S)} d ${Math.floor((s % DAY_S) / HOUR_S)} h`;
}
