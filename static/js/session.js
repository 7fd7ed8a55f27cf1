// A page outlives its session. A fragment that finds the session ended says so, with a way to sign in beside the page; later
// requests of the page send the token of the new session.
{
  const token = () => {
    const name = `${document.body.dataset.csrfCookie}=`;
    return document.cookie.split("; ").find((cookie) => cookie.startsWith(name))?.slice(name.length);
  };

  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (token()) detail.headers["x-csrftoken"] = token();
  });
  document.addEventListener("submit", ({ target }) => {
    const field = target.querySelector("input[name=csrfmiddlewaretoken]");
    if (field && token()) field.value = token();
  }, true);

  document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
    if (xhr.status !== 401 || document.getElementById("expired-session")) return;
    const toast = document.getElementById("expired-template").content.firstElementChild.cloneNode(true);
    const link = toast.querySelector("a");
    link.setAttribute("href", `${link.getAttribute("href")}?${new URLSearchParams({ next: location.pathname + location.search })}`);
    toast.querySelectorAll("a, [data-dismiss]").forEach((part) => part.addEventListener("click", () => toast.remove()));
    document.getElementById("toasts").append(toast);
  });
}
