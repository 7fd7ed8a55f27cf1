// Draws <div data-chart="id"> from the JSON of the same id with Plotly, and again when htmx brings new JSON. Colours come from
// the tokens: a trace names its tone in `meta.tone`, and charts are drawn again when the theme or the zone changes.
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
    quiet: "series", strong: "neutral", accent: "accent",
  };

  // Bars without a label are hollow, and lines dotted, so that they look like no label.
  const unlabelled = ({ marker, line, ...trace }) => ({
    ...trace,
    marker: { ...marker, color: "transparent", line: { color: colour("series"), width: 1 } },
    line: { ...line, color: colour("series"), dash: "dot" },
  });

  const painted = (data) => data.map((trace) => {
    if (trace.meta?.tone === "unlabelled") return unlabelled(trace);
    const shade = colour(TONES[trace.meta?.tone] ?? trace.meta?.tone ?? "accent");
    return { ...trace, marker: { ...trace.marker, color: shade }, line: { ...trace.line, color: shade } };
  });

  // A band has no outline; a line may name its tone.
  const drawn = (shape) => (shape.type === "rect"
    ? { ...shape, line: { width: 0 }, fillcolor: colour("error-soft") }
    : { ...shape, line: { color: colour(TONES[shape.name] ?? "text-faint"), width: 1, dash: "dot" } });

  const themed = (layout) => {
    const axis = (own) => ({ ...own, gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("grid"), tickcolor: colour("line") });
    return {
      ...layout,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("text-faint") },
      hoverlabel: { bgcolor: colour("bg-raised"), bordercolor: colour("line"), font: { color: colour("text"), size: 12 } },
      shapes: layout.shapes?.map(drawn),
      annotations: layout.annotations?.map((note) => (note.xref === "paper" ? note : { ...note, font: { size: 10, color: colour("text-muted") } })),
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
    };
  };

  // The axis counts bars, which are equally far apart in time; its texts are in the zone of the reader. An axis of dates
  // would be in UTC, or draw two bars over each other where the clock is put back.
  const PIXELS_OF_A_TICK = 52;
  const timed = (element, { data, layout }) => {
    const starts = (data[0]?.x ?? []).map((start) => Date.parse(start));
    if (!starts.length) return { data, layout };
    const step = starts.length > 1 ? starts[1] - starts[0] : 60_000;
    const end = starts[0] + starts.length * step;
    // A bar reaches half its width to both sides of its number.
    const place = (moment) => (moment - starts[0]) / step - 0.5;
    const placed = (moment) => place(Date.parse(moment));
    const bars = starts.map((start) => zones.bar(start, step));
    // The corner below the numbers names the zone, so no time stands right beside it.
    const ticks = zones.ticks(starts[0], end, Math.min(9, Math.ceil(element.clientWidth / PIXELS_OF_A_TICK)), zones.ofBars(step))
      .filter(({ at }) => at - starts[0] >= (end - starts[0]) / 12);
    const corner = {
      text: zones.axisName(starts[0], end, step), xref: "paper", yref: "paper", x: 0, y: 0, xanchor: "right",
      yanchor: "top", xshift: 4, yshift: -8, font: { size: 10 }, showarrow: false,
    };
    return {
      data: data.map((trace) => ({ ...trace, x: bars })),
      layout: {
        ...layout,
        xaxis: {
          ...layout.xaxis, type: "category", range: [-0.5, starts.length - 0.5], tickmode: "array",
          tickvals: ticks.map(({ at }) => place(at)), ticktext: ticks.map(({ text }) => text),
        },
        shapes: layout.shapes?.map((shape) => (
          shape.xref === "paper" ? shape : { ...shape, x0: placed(shape.x0), x1: placed(shape.x1) })),
        annotations: [...(layout.annotations ?? []).map((note) => ({ ...note, x: placed(note.x) })), corner],
      },
    };
  };

  const draw = (element) => {
    const { data, layout } = timed(element, JSON.parse(document.getElementById(element.dataset.chart).textContent));
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
  document.addEventListener("catalyst:zone", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
