// A form that is new begins with the time zone of its reader, and shows its times.
addEventListener("load", () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const field of document.querySelectorAll("[data-own-zone]")) {
    if (!zone || zone === field.value) continue;
    field.value = zone;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
