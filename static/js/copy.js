// <button data-copy="#id"> copies the text of that element; without a value, that of the visible code in its card.
// <button data-copy-text="text"> copies its own text.
// <form data-copies="selector"> clicks such a button once its answer is on the page.
{
  const source = (button) => button.dataset.copy
    ? document.querySelector(button.dataset.copy)
    : [...button.closest(".card").querySelectorAll("pre, code")].find((element) => element.checkVisibility());

  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const selector = detail.requestConfig?.elt?.dataset.copies;
    if (selector) document.querySelector(selector)?.click();
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-text]");
    if (!button) return;
    const text = button.dataset.copyText ?? source(button)?.textContent.trim();
    if (!text) return;
    const said = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Press Ctrl+C to copy");
    if (said !== "Copied" && !button.dataset.copyText) getSelection().selectAllChildren(source(button));
    document.dispatchEvent(new CustomEvent("catalyst:say", { detail: said }));
  });
}
