// A request of htmx that failed says so where it happened, once, and can be tried again. The next answer takes the words away.
{
  const REASONS = {
    0: "the server can't be reached",
    403: "your role does not allow it, or this page is out of date. Reload the page",
    404: "it no longer exists",
    413: "what you entered is too large. Shorten it",
    414: "the search text or the filter is too long",
    429: "too many requests at once, wait a little",
  };
  const notes = new WeakMap();

  const words = ({ verb, elt }, status) => {
    const polled = elt.matches('[hx-trigger*="every "]');
    const what = polled ? "Not up to date" : verb === "get" ? "Not loaded" : "Not done";
    const why = REASONS[status] ?? "the server met an error";
    return `${what}: ${why}${status ? ` (${status})` : ""}.${polled ? " It is tried again by itself." : ""}`;
  };

  const put = (note, { elt, target }) => {
    const table = target.matches("tbody") && target.closest("table");
    if (elt.matches("form")) elt.append(note);
    else if (table) table.before(note);
    else (target.matches("tr") ? target.cells[0] : target.querySelector(".waits") ?? target).prepend(note);
  };

  const fail = ({ detail: { requestConfig: request, target, xhr } }) => {
    if (xhr.status === 401) return; // session.js says it
    const { elt, verb, path } = request;
    let note = notes.get(elt);
    if (!note?.isConnected) {
      note = document.getElementById("failure-template").content.firstElementChild.cloneNode(true);
      note.querySelector("button").addEventListener("click", (event) => {
        htmx.ajax(verb, path, { source: elt, event }).catch(() => { /* said by the note */ });
      });
      notes.set(elt, note);
      put(note, { elt, target });
    }
    note.querySelector("span").textContent = words(request, xhr.status);
  };

  document.addEventListener("htmx:responseError", fail);
  document.addEventListener("htmx:sendError", fail);
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (!detail.isError) notes.get(detail.requestConfig.elt)?.remove();
  });
}
