// Light or dark: the system decides until someone presses the toggle; the choice is remembered in this browser.
// Loaded before the styles, so that the page never flashes in the other theme.
{
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = (theme) => { if (theme === "light" || theme === "dark") root.dataset.theme = theme; };
  apply(stored());

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const next = dark ? "light" : "dark";
    apply(next);
    try { localStorage.setItem("theme", next); } catch { /* private windows forget it */ }
    document.dispatchEvent(new CustomEvent("catalyst:theme"));
  });
}
