// Draws <div data-chart="id"> from the JSON of the same id with Plotly, and again when htmx brings new JSON. Colours come from
// the tokens: a trace names its tone in `meta.tone`, and charts are drawn again when the theme changes.
{
  const probe = document.createElement("span");
  probe.hidden = true;

  const colour = (token) => {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${token})`;
    return getComputedStyle(probe).color;
  };

  const TONES = {
    positive: "ok-fill", negative: "error-fill", error: "error-fill", neutral: "neutral-fill", warn: "warn-fill",
    quiet: "series", accent: "accent",
  };

  const painted = (data) => data.map((trace) => {
    const shade = colour(TONES[trace.meta?.tone] ?? trace.meta?.tone ?? "accent");
    return { ...trace, marker: { ...trace.marker, color: shade }, line: { ...trace.line, color: shade } };
  });

  const themed = (layout) => {
    const axis = (own) => ({ ...own, gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("grid"), tickcolor: colour("line") });
    return {
      ...layout,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("text-faint") },
      hoverlabel: { bgcolor: colour("bg-raised"), bordercolor: colour("line"), font: { color: colour("text"), size: 12 } },
      shapes: layout.shapes?.map((shape) => ({ ...shape, line: { color: colour("text-faint"), width: 1, dash: "dot" } })),
      annotations: layout.annotations?.map((note) => (note.xref === "paper" ? note : { ...note, font: { size: 10, color: colour("text-muted") } })),
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
    };
  };

  const draw = (element) => {
    const { data, layout } = JSON.parse(document.getElementById(element.dataset.chart).textContent);
    Plotly.react(element, painted(data), themed(layout), { displayModeBar: false, responsive: true });
    if (!("href" in element.dataset) || element.dataset.wired) return;
    element.dataset.wired = "yes";
    element.on("plotly_click", (event) => {
      const target = event.points[0].customdata;
      if (!target) return;
      const query = new URLSearchParams(location.search);
      for (const name of ["range", "from", "to", "after"]) query.delete(name);
      new URLSearchParams(target).forEach((value, name) => query.set(name, value));
      location.search = query;
    });
  };

  const within = (root) => root.querySelectorAll("[data-chart]");
  const fed = (root) => [...root.querySelectorAll('script[type="application/json"]')]
    .flatMap(({ id }) => [...document.querySelectorAll(`[data-chart="${CSS.escape(id)}"]`)]);
  document.addEventListener("htmx:load", ({ detail: { elt } }) => {
    new Set([...(elt.matches?.("[data-chart]") ? [elt] : []), ...within(elt), ...fed(elt)]).forEach(draw);
  });
  document.addEventListener("htmx:beforeCleanupElement", (event) => {
    if (event.detail.elt.matches?.("[data-chart]")) Plotly.purge(event.detail.elt);
  });
  const redraw = () => within(document).forEach(draw);
  document.addEventListener("catalyst:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
