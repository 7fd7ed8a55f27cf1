// The editor counts the characters of the prompt, and asks before it is left with unsaved changes, unless they are kept (drafts.js). After a save that failed, the first wrong field has the focus.
{
  const form = document.getElementById("editor");
  let isUnsaved = form ? "unsaved" in form.dataset : false;
  const isTest = (element) => Boolean(element.closest(".signal-test"));

  const count = () => {
    const counter = document.getElementById("prompt-count");
    if (!counter) return;
    // By code points, as the server counts.
    const characters = [...document.getElementById(counter.dataset.countOf).value.trim()].length;
    counter.textContent = characters.toLocaleString("en-US");
    counter.classList.toggle("bad-text", characters > Number(counter.dataset.limit));
  };
  for (const event of ["input", "change"]) form?.addEventListener(event, count);
  addEventListener("pageshow", count);

  form?.addEventListener("input", ({ target }) => { isUnsaved ||= !isTest(target); });
  form?.addEventListener("submit", (event) => {
    if (!event.defaultPrevented && event.submitter?.formTarget !== "_blank") isUnsaved = false;
  });
  form?.addEventListener("click", ({ target }) => { if (target.closest("[data-keeps-draft]")) isUnsaved = false; });
  addEventListener("beforeunload", (event) => { if (isUnsaved) event.preventDefault(); });
  for (const row of form?.querySelectorAll(".row:has(.wrong)") ?? []) {
    const fields = [...row.querySelectorAll("input, select, textarea")].filter((field) => field.checkVisibility());
    const wrong = fields.find((field) => field.ariaInvalid === "true") ?? fields[0];
    if (wrong) { wrong.focus(); break; }
  }
}
