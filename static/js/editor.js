// The editor asks before it is left with unsaved changes, unless they are kept (drafts.js). After a save that failed, the first wrong field has the focus.
{
  const form = document.getElementById("editor");
  let isUnsaved = form ? "unsaved" in form.dataset : false;
  const isTest = (element) => Boolean(element.closest(".signal-test"));

  form?.addEventListener("input", ({ target }) => { isUnsaved ||= !isTest(target); });
  form?.addEventListener("submit", (event) => {
    if (!event.defaultPrevented && event.submitter?.formTarget !== "_blank") isUnsaved = false;
  });
  form?.addEventListener("click", ({ target }) => { if (target.closest("[data-keeps-draft]")) isUnsaved = false; });
  addEventListener("beforeunload", (event) => { if (isUnsaved) event.preventDefault(); });
  form?.querySelector('[aria-invalid="true"], .row:has(.wrong) :is(input, select, textarea):not([type="hidden"])')?.focus();
}
