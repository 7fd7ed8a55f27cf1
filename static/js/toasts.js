// Short messages in the corner: dismissed by hand or after a while.
{
  const STAY = 6000;

  const arm = (toast) => {
    toast.querySelector("[data-dismiss]")?.addEventListener("click", () => toast.remove());
    if (!toast.classList.contains("error")) setTimeout(() => toast.remove(), STAY);
  };

  const say = (text) => {
    const toast = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
    toast.querySelector("p").textContent = text;
    document.getElementById("toasts").append(toast);
    arm(toast);
  };

  document.querySelectorAll("[data-dismissible]").forEach((note) => {
    note.querySelector("[data-dismiss]").addEventListener("click", () => note.remove());
  });
  document.querySelectorAll("#toasts .toast").forEach(arm);
  document.addEventListener("catalyst:say", (event) => say(event.detail));
}
