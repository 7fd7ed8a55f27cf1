// A form that is new begins with the time zone of its reader.
for (const field of document.querySelectorAll("[data-own-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || field.value;
}
