// Short messages in the corner: dismissed by hand or after a while, and a request that failed says so.
{
  const STAY = 6000;

  const arm = (toast) => {
    toast.querySelector("[data-dismiss]")?.addEventListener("click", () => toast.remove());
    if (!toast.classList.contains("error")) setTimeout(() => toast.remove(), STAY);
  };

  const say = (text, level = "info") => {
    const toast = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
    toast.querySelector("p").textContent = text;
    toast.classList.add(level);
    document.getElementById("toasts").append(toast);
    arm(toast);
  };

  document.querySelectorAll("#toasts .toast").forEach(arm);
  document.addEventListener("catalyst:say", (event) => say(event.detail));
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 422) return;
    say(`That did not work: the server answered ${event.detail.xhr.status}. Reload the page and try again.`, "error");
  });
  document.addEventListener("htmx:sendError", () => say("The server could not be reached. Is it running?", "error"));
}
