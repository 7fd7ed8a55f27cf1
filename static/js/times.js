// "3 min ago" stays true while the page is open. Exact times are shown in the reader's zone, or in UTC by choice: see zones.js.
// The title of a time has both. Times are typed in the zone that is shown, and sent in UTC.
{
  const SVG = "http://www.w3.org/2000/svg";
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

  const showTime = (time) => {
    time.dataset.utc ??= time.title;
    const moment = Date.parse(time.dateTime);
    if (time.dataset.to) time.textContent = zones.text(moment, time.dataset.to);
    time.title = zones.name() === "UTC" ? time.dataset.utc : `${zones.text(moment, "second")}, ${time.dataset.utc}`;
  };

  const showSpan = (element) => {
    element.textContent = zones.span(Date.parse(element.dataset.from), Date.parse(element.dataset.until));
  };

  // Bars and lines stay where they are; their titles and the round times below them follow the zone.
  const PIXELS_OF_A_TICK = 52;
  const showAxis = (axis) => {
    const start = Date.parse(axis.dataset.start), end = Date.parse(axis.dataset.end), step = 1000 * axis.dataset.step;
    const plot = axis.closest(".plot");
    plot.querySelectorAll(".hit title").forEach((title, index) => {
      title.dataset.counts ??= title.textContent.slice(title.textContent.indexOf(": "));
      title.textContent = zones.bar(start + index * step, step) + title.dataset.counts;
    });
    plot.querySelector(".zone").textContent = zones.axisName(start, end, step);
    const limit = Math.min(9, Math.ceil(axis.getBoundingClientRect().width / PIXELS_OF_A_TICK));
    axis.replaceChildren(...zones.ticks(start, end, limit || 9, zones.ofBars(step)).map((tick) => {
      const text = document.createElementNS(SVG, "text");
      text.setAttribute("x", `${(100 * (tick.at - start)) / (end - start)}%`);
      text.setAttribute("y", 10);
      text.textContent = tick.text;
      return text;
    }));
  };

  const typed = (moment) => new Date(moment).toISOString().slice(0, 16);
  // An hour that the clock shows twice is sent as it came unless it is changed.
  const inUtc = (input) => (input.value === input.dataset.shown ? input.dataset.utc
    : input.value && typed(zones.instant(Date.parse(`${input.value}Z`), input.dataset.zone)));
  const showInput = (input) => {
    input.dataset.utc = input.dataset.zone ? inUtc(input) : input.defaultValue;
    input.dataset.zone = zones.name();
    if (input.dataset.utc) input.value = typed(zones.wall(Date.parse(`${input.dataset.utc}Z`)));
    input.dataset.shown = input.value;
    for (const label of input.labels) label.textContent = label.textContent.replace(/\(.*\)/, `(${zones.name()})`);
  };

  const INPUT = 'input[type="datetime-local"]';
  document.addEventListener("formdata", ({ target, formData }) => target.querySelectorAll(INPUT).forEach((input) => {
    if (input.dataset.zone && formData.has(input.name)) formData.set(input.name, inUtc(input));
  }));

  const localize = (root) => {
    root.querySelectorAll("time[datetime]").forEach(showTime);
    root.querySelectorAll("[data-until]").forEach(showSpan);
    root.querySelectorAll(".axis[data-start]").forEach(showAxis);
    root.querySelectorAll(INPUT).forEach(showInput);
  };

  const showChoice = () => document.querySelectorAll("[data-zone-choice]").forEach((button) => {
    button.hidden = zones.local === "UTC";
    button.setAttribute("aria-pressed", zones.isUtc());
    button.textContent = zones.isUtc() ? "Times in UTC: show local times" : `Times in ${zones.local}: show UTC`;
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-zone-choice]")) zones.choose(zones.isUtc() ? "local" : "UTC");
  });
  document.addEventListener("catalyst:zone", () => { localize(document); showChoice(); });
  document.addEventListener("htmx:load", ({ detail }) => localize(detail.elt.parentElement ?? detail.elt));
  localize(document);
  showChoice();
}
