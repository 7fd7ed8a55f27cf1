// The zone that times are shown in: the reader's, or UTC by choice, which is remembered in this browser. Sums stay in UTC,
// and those of whole days are shown so, because a day of UTC is none of another zone.
const zones = (() => {
  const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const STEPS = [
    ...[1, 5, 10, 15, 30].map((count) => count * MINUTE), ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
    ...[1, 2, 7, 14, 28].map((count) => count * DAY),
  ];
  const LONGEST = 28 * DAY;
  const EPOCH = Date.UTC(2000, 0, 1);
  // Near the end of an axis a text would be cut off.
  const MARGIN = 0.1;

  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const isUtc = () => { try { return localStorage.getItem("zone") === "UTC"; } catch { return false; } };
  const choose = (name) => {
    try { localStorage.setItem("zone", name); } catch { /* private windows forget it */ }
    document.dispatchEvent(new CustomEvent("catalyst:zone"));
  };
  const name = () => (isUtc() ? "UTC" : local);
  // Bars of whole days keep to UTC.
  const ofBars = (step) => (step >= DAY ? "UTC" : name());

  const formats = new Map();
  const parts = (moment, zone) => {
    if (!formats.has(zone)) {
      formats.set(zone, new Intl.DateTimeFormat("en-US", {
        timeZone: zone, timeZoneName: "short", hourCycle: "h23", day: "numeric", month: "short", year: "numeric",
        hour: "2-digit", minute: "2-digit", second: "2-digit",
      }));
    }
    return Object.fromEntries(formats.get(zone).formatToParts(moment).map(({ type, value }) => [type, value]));
  };
  const short = (moment, zone = name()) => parts(moment, zone).timeZoneName;
  const day = (moment, zone = name()) => {
    const part = parts(moment, zone);
    const year = Number(part.year) === new Date().getUTCFullYear() ? "" : ` ${part.year}`;
    return `${part.day} ${part.month}${year}`;
  };
  const clock = (moment, unit, zone = name()) => {
    const part = parts(moment, zone);
    return `${part.hour}:${part.minute}${unit === "second" ? `:${part.second}` : ""}`;
  };
  // `29 Nov 15:40 GMT+1`
  const text = (moment, unit, zone = name()) => `${day(moment, zone)} ${clock(moment, unit, zone)} ${short(moment, zone)}`;
  // `29 Nov 15:40 to 18:00 GMT+1`
  const span = (from, to) => {
    const zone = short(from) === short(to) ? "" : ` ${short(from)}`;
    return `${day(from)} ${clock(from)}${zone} to ${day(from) === day(to) ? "" : `${day(to)} `}${clock(to)} ${short(to)}`;
  };

  // What the clock of a zone shows, written as if it were UTC. Both ways, also where the clock is put forward or back.
  const wall = (moment, zone = name()) => {
    const part = parts(moment, zone);
    return Date.parse(`${part.day} ${part.month} ${part.year} ${part.hour}:${part.minute}:${part.second} UTC`);
  };
  const instant = (shown, zone = name()) => {
    const about = shown - (wall(shown, zone) - shown);
    return shown - (wall(about, zone) - about);
  };

  // Round times of an axis in a zone, at most `limit`: hours or whole days.
  const ticks = (start, end, limit, zone) => {
    const step = STEPS.find((each) => (end - start) / each <= limit)
      ?? LONGEST * Math.ceil((end - start) / (LONGEST * limit));
    const last = end - (end - start) * MARGIN;
    const found = [];
    for (let shown = EPOCH + Math.ceil((wall(start, zone) - EPOCH) / step) * step; ; shown += step) {
      const at = instant(shown, zone);
      if (at > last) return found;
      if (at < start || at <= found.at(-1)?.at) continue;
      const time = clock(at, "minute", zone);
      found.push({ at, text: step >= DAY || time === "00:00" ? day(at, zone) : time });
    }
  };

  // The zone of an axis of bars, and the time of one bar.
  const axisName = (start, end, step) => {
    const zone = ofBars(step);
    if (step >= DAY) return "UTC day";
    return short(start, zone) === short(end, zone) ? short(start, zone) : "local";
  };
  const bar = (start, step) => {
    if (step < DAY) return text(start, "minute");
    return step === DAY ? `${day(start, "UTC")}, UTC day` : `${Math.round(step / DAY)} UTC days from ${day(start, "UTC")}`;
  };

  return { local, isUtc, choose, name, ofBars, text, span, wall, instant, ticks, axisName, bar };
})();
