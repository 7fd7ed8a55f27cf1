// The keyboard: / filter, j and k move through the rows of a list, and so do the arrows in the tree of a trace, Enter opens, [ and ] go from label to label, g then a letter goes to a section, ? lists the keys. Space follows a link that is a check box or a radio button, as Enter does.
{
  const rows = () => [...document.querySelectorAll(".list tbody tr")].filter((row) => row.querySelector(".open"));
  let goUntil = 0;

  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const moved = all.findIndex((row) => row.classList.contains("at"));
    const at = moved >= 0 ? moved : all.findIndex((row) => row.getAttribute("aria-selected") === "true");
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    all.forEach((row) => row.classList.toggle("at", row === next));
    next.scrollIntoView({ block: "nearest" });
    next.querySelector(".open").focus({ preventScroll: true, focusVisible: false });
  };

  const commands = {
    "/": () => document.querySelector("[data-filter]")?.focus(),
    "?": () => document.getElementById("keys")?.showModal(),
    j: () => move(1),
    k: () => move(-1),
    "[": () => document.querySelector("[data-walk=before]")?.click(),
    "]": () => document.querySelector("[data-walk=after]")?.click(),
    Enter: () => document.querySelector("tr.at .open")?.click(),
    g: () => { goUntil = Date.now() + 1200; },
  };
  // Elsewhere the arrows scroll.
  const arrows = { ArrowDown: commands.j, ArrowUp: commands.k };
  const inTree = (element) => document.querySelector("[data-tree]") && (element === document.body || element.closest(".pane:has([data-tree])"));

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "Escape") return event.target.closest("input, textarea")?.blur();
    if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const check = event.key === " " && event.target.closest("a:is([role=checkbox], [role=radio])");
    if (check) {
      event.preventDefault();
      return check.click();
    }
    const link = Date.now() < goUntil && document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    goUntil = 0;
    if (link) return link.click();
    const command = commands[event.key] ?? (inTree(event.target) ? arrows[event.key] : undefined);
    if (!command) return;
    event.preventDefault();
    command();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) document.getElementById("keys")?.showModal();
  });
}
