// Live: pages that refresh themselves do so while the toggle is on and the page is in sight. The choice is remembered in this browser.
// A range that has ended is not refreshed.
{
  const button = document.querySelector("[data-live]");
  const show = (on) => button?.setAttribute("aria-pressed", on && !button.disabled);
  try { show(localStorage.getItem("live") !== "off"); } catch { show(true); }

  button?.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    show(on);
    try { localStorage.setItem("live", on ? "on" : "off"); } catch { /* private windows forget it */ }
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, triggeringEvent } = event.detail.requestConfig;
    if (triggeringEvent || !elt.matches('[hx-trigger*="every "]')) return;
    const paused = button?.getAttribute("aria-pressed") === "false" && !elt.matches('[hx-swap="none"]');
    if (paused || document.hidden) event.preventDefault();
  });
}
