// The span whose pane is shown is marked in the tree, and in sight.
document.querySelector("[data-tree] [aria-selected]")?.scrollIntoView({ block: "nearest" });

document.addEventListener("htmx:beforeRequest", (event) => {
  const row = event.detail.elt.closest("[data-tree] tr");
  if (!row || event.detail.target.id !== "span-pane") return;
  row.closest("tbody").querySelectorAll("[aria-selected], .at").forEach((other) => {
    other.removeAttribute("aria-selected");
    other.classList.remove("at");
  });
  row.setAttribute("aria-selected", "true");
});
