// The project switcher leads back to the page that was open in a project, with its filters, and takes the range along.
{
  const RANGE = ["range", "from", "to"];
  const here = location.pathname.match(/^\/p\/([^/]+)\//)?.[1];
  const key = (slug) => `page of ${slug}`;
  const remember = () => {
    try { if (here) sessionStorage.setItem(key(here), location.pathname + location.search); } catch { /* private windows */ }
  };
  const remembered = (slug) => { try { return sessionStorage.getItem(key(slug)); } catch { return null; } };

  addEventListener("pagehide", remember);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-project]");
    const page = link && link.dataset.project !== here && remembered(link.dataset.project);
    if (!page) return;
    const url = new URL(page, location.origin);
    const now = new URL(link.href).searchParams;
    for (const name of RANGE) url.searchParams.delete(name);
    for (const name of RANGE) if (now.has(name)) url.searchParams.set(name, now.get(name));
    link.href = url;
  });
}
