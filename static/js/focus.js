// What has the focus keeps it, and a chosen row stays chosen, when htmx brings the region anew that it stands in.
// From a "Load more" the focus goes on to the first row that it brought.
{
  let held = null;
  let above = null;
  const same = (region, href) => [...region.querySelectorAll("a[href]")].filter((link) => link.getAttribute("href") === href);

  document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
    const link = document.activeElement.closest("a[href]");
    above = link && target.matches("tr.more") && target.contains(link) ? target.previousElementSibling : null;
    if (!link || !target.id || !target.contains(link)) return;
    const href = link.getAttribute("href");
    const chosen = link.closest("tr")?.classList.contains("at");
    held = { region: target.id, href, index: same(target, href).indexOf(link), ring: link.matches(":focus-visible"), chosen };
  });

  document.addEventListener("htmx:afterSwap", () => {
    const region = held && document.getElementById(held.region);
    const link = region && same(region, held.href)[held.index];
    if (link && !link.matches(":focus")) {
      link.focus({ preventScroll: true, focusVisible: held.ring });
      link.closest("tr")?.classList.toggle("at", Boolean(held.chosen));
    }
    held = null;
    above?.nextElementSibling?.querySelector(".open")?.focus({ preventScroll: true });
    above = null;
  });
}
