// "3 min ago" stays true while the page is open. Exact times are shown in the reader's zone, or in UTC by choice, which is
// remembered in this browser. The title of a time has both. Sums over time stay in UTC: their texts say so.
{
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const ago = (seconds) => {
    if (seconds < 5) return "just now";
    const [unit, size] = units.find(([, length]) => seconds >= length);
    return `${Math.floor(seconds / size)} ${unit} ago`;
  };
  const refresh = () => document.querySelectorAll("time[data-ago]").forEach((time) => {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (seconds >= 0 && seconds < 30 * 86400) time.textContent = ago(seconds);
  });
  setInterval(() => { if (!document.hidden) refresh(); }, 10_000);

  const isUtc = () => { try { return localStorage.getItem("zone") === "UTC"; } catch { return false; } };
  const zone = () => (isUtc() ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone);

  const text = (moment, unit) => {
    const second = unit === "second" ? { second: "2-digit" } : {};
    const parts = new Intl.DateTimeFormat("en-US", {
      timeZone: zone(), timeZoneName: "short", hourCycle: "h23",
      day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", ...second,
    }).formatToParts(moment);
    const part = (type) => parts.find((each) => each.type === type)?.value;
    const year = moment.getUTCFullYear() === new Date().getUTCFullYear() ? "" : ` ${part("year")}`;
    const clock = ["hour", "minute", "second"].map(part).filter(Boolean).join(":");
    return `${part("day")} ${part("month")}${year} ${clock} ${part("timeZoneName")}`;
  };

  const localize = (root) => root.querySelectorAll("time[datetime]").forEach((time) => {
    time.dataset.utc ??= time.title;
    const moment = new Date(time.dateTime);
    const isLocal = zone() !== "UTC";
    if (time.dataset.to) time.textContent = text(moment, time.dataset.to);
    time.title = isLocal ? `${text(moment, "second")}, ${time.dataset.utc}` : time.dataset.utc;
  });

  const showChoice = () => document.querySelectorAll("[data-zone]").forEach((button) => {
    button.hidden = Intl.DateTimeFormat().resolvedOptions().timeZone === "UTC";
    button.setAttribute("aria-pressed", isUtc());
    button.textContent = isUtc() ? "Times in UTC: show local times" : `Times in ${zone()}: show UTC`;
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-zone]")) return;
    try { localStorage.setItem("zone", isUtc() ? "local" : "UTC"); } catch { /* private windows forget it */ }
    localize(document);
    showChoice();
  });
  document.addEventListener("htmx:load", ({ detail }) => localize(detail.elt.parentElement ?? detail.elt));
  localize(document);
  showChoice();
}
