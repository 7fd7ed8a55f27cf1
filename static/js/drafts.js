// What was typed survives a session that ended: a form that was sent and led to the sign-in page is filled again when its page
// opens. It is kept in this tab only, never with passwords.
{
  const KEY = "draft";
  const read = () => { try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; } };
  const write = (draft) => {
    try {
      if (draft) sessionStorage.setItem(KEY, JSON.stringify(draft));
      else sessionStorage.removeItem(KEY);
    } catch { /* private windows forget it */ }
  };
  const here = location.pathname;
  const isSignIn = document.body.hasAttribute("data-sign-in");

  const fields = (form) => [...form.elements].filter(({ name, type }) => name && name !== "csrfmiddlewaretoken" && !["password", "file", "submit", "button", "hidden"].includes(type));
  const values = (form) => fields(form).map((field) => {
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
    const form = [...document.forms].find((each) => each.method === "post" && each.getAttribute("action") === draft.action);
    if (!form) return;
    fill(form, draft.values);
    document.dispatchEvent(new CustomEvent("catalyst:say", { detail: "You are signed in again. Nothing was saved yet: check the form and send it again." }));
  };

  const draft = read();
  if (draft && isSignIn) write({ ...draft, bounced: true });
  else if (draft && !draft.bounced) write(null);
  else if (draft && draft.page === here) {
    write(null);
    addEventListener("load", () => restore(draft));
  }

  document.addEventListener("submit", ({ target: form }) => {
    if (isSignIn || form.method !== "post" || !fields(form).length) return;
    write({ page: here, action: form.getAttribute("action"), values: values(form) });
  });
}
