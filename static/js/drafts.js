// What was typed survives a session that ended: a form that was sent and led to the sign-in page is filled again when its page
// opens. So does what was typed before <a data-keeps-draft> within the form was followed. It is kept in this tab only, never
// with passwords.
{
  const SENT = "draft", LEFT = "left-draft";
  const read = (key) => { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } };
  const write = (key, draft) => {
    try {
      if (draft) sessionStorage.setItem(key, JSON.stringify(draft));
      else sessionStorage.removeItem(key);
    } catch { /* private windows forget it */ }
  };
  const here = location.pathname;
  const isSignIn = document.body.hasAttribute("data-sign-in");

  const fields = (form) => [...form.elements].filter(({ name, type }) => name && name !== "csrfmiddlewaretoken" && !["password", "file", "submit", "button", "hidden"].includes(type));
  const isChanged = (field) => field.options
    ? [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.checked !== field.defaultChecked || field.value !== field.defaultValue;
  const values = (kept) => kept.map((field) => {
    const isChoice = ["checkbox", "radio"].includes(field.type);
    return [field.name, isChoice ? field.value : null, isChoice ? field.checked : field.value];
  });

  const fill = (form, saved) => {
    for (const [name, choice, value] of saved) {
      const field = fields(form).find((each) => each.name === name && (choice === null || each.value === choice));
      if (!field) continue;
      if (choice === null) field.value = value;
      else field.checked = value;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  };

  const restore = (draft) => {
    // The page may have another filter by now.
    const path = (action) => action?.split("?")[0];
    const form = [...document.forms].find((each) => each.method === "post" && path(each.getAttribute("action")) === path(draft.action));
    if (!form) return;
    fill(form, draft.values);
    document.dispatchEvent(new CustomEvent("catalyst:say", { detail: draft.said }));
  };

  const sent = read(SENT);
  if (sent && isSignIn) write(SENT, { ...sent, bounced: true });
  else if (sent && !sent.bounced) write(SENT, null);
  for (const key of isSignIn ? [] : [LEFT, SENT]) {
    const draft = read(key);
    if (draft?.page !== here) continue;
    write(key, null);
    addEventListener("load", () => restore(draft));
  }

  document.addEventListener("submit", ({ target: form }) => {
    if (isSignIn || form.method !== "post" || !fields(form).length) return;
    write(SENT, { page: here, action: form.getAttribute("action"), values: values(fields(form)), said: "You are signed in again. Nothing was saved yet: check the form and send it again." });
  });

  document.addEventListener("click", ({ target }) => {
    const form = target.closest("[data-keeps-draft]")?.closest("form");
    if (!form) return;
    // What was left alone may have another default later, such as the model that is connected meanwhile.
    write(LEFT, { page: here, action: form.getAttribute("action"), values: values(fields(form).filter(isChanged)), said: "What you typed is back. Nothing was saved yet." });
  });
}
