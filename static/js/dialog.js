// <dialog><div data-shows></div></dialog> opens when htmx has put something into the div.
document.addEventListener("htmx:afterSwap", ({ target }) => {
  if (target.matches?.("dialog > [data-shows]")) target.parentElement.showModal();
});
