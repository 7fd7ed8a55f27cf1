// A select with data-submits sends its form at once. A menu closes when the pointer or the focus goes elsewhere, and on Escape.
{
  const close = (except) => document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!except || !menu.contains(except)) menu.open = false;
  });
  document.addEventListener("click", (event) => close(event.target));
  document.addEventListener("change", ({ target }) => {
    if (target.matches("select[data-submits]")) target.form.requestSubmit();
  });
  document.addEventListener("focusin", (event) => close(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details.menu[open]");
    close();
    menu?.querySelector("summary").focus();
  });
}
