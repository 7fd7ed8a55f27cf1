// <button data-stream> in a form: posts it and puts the answer's parts into [data-streamed] as they come. A part whose id is there already takes its place. [data-stream-stop] hangs up.
{
  const END = "<!--part-->";
  let current;

  const put = (output, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const element of [...template.content.children]) {
      const known = element.id && output.querySelector(`#${CSS.escape(element.id)}`);
      if (known) known.replaceWith(element); else output.append(element);
      htmx.process(element);
    }
  };

  const read = async (response, output) => {
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "", part = await text.read(); !part.done; part = await text.read()) {
      const parts = (rest + part.value).split(END);
      rest = parts.pop();
      parts.forEach((html) => put(output, html));
    }
  };

  const stream = async (form, button, output, stop) => {
    const body = new FormData(form, button);
    current?.abort();
    const mine = current = new AbortController();
    output.replaceChildren();
    output.setAttribute("aria-busy", "true");
    stop.hidden = false;
    try {
      const headers = { "HX-Request": "true" };
      const response = await fetch(button.formAction, { method: "POST", body, headers, signal: mine.signal });
      if (response.ok && !response.redirected) await read(response, output);
      else if (response.status === 422) put(output, await response.text());
      else throw new Error(response.statusText);
    } catch (error) {
      if (current !== mine) return;
      const words = mine.signal.aborted ? "Cancelled." : "The test broke off: the server can't be reached, or met an error.";
      put(output, '<p class="note warn"></p>');
      output.lastElementChild.textContent = words;
    } finally {
      if (current === mine) {
        stop.hidden = true;
        output.removeAttribute("aria-busy");
      }
    }
  };

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button?.matches("[data-stream]")) return;
    event.preventDefault();
    const within = event.target;
    stream(within, button, within.querySelector("[data-streamed]"), within.querySelector("[data-stream-stop]"));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-stream-stop]")) current?.abort();
  });
  document.addEventListener("htmx:afterSwap", ({ target }) => {
    if (target.matches?.("dialog > [data-shows]")) target.parentElement.showModal();
  });
}
