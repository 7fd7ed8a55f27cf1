// The span whose pane is shown stays marked in the tree.
document.addEventListener("htmx:beforeRequest", (event) => {
  const row = event.detail.elt.closest("[data-tree] tr");
  if (!row || event.detail.target.id !== "span-pane") return;
  row.closest("tbody").querySelectorAll("[aria-selected]").forEach((other) => other.removeAttribute("aria-selected"));
  row.setAttribute("aria-selected", "true");
});
