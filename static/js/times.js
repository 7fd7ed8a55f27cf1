// "3 min ago" stays true while the page is open. The exact time is in the title.
{
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const ago = (seconds) => {
    if (seconds < 5) return "just now";
    const [unit, size] = units.find(([, length]) => seconds >= length);
    return `${Math.floor(seconds / size)} ${unit} ago`;
  };
  const refresh = () => document.querySelectorAll("time[data-ago]").forEach((time) => {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (seconds >= 0 && seconds < 30 * 86400) time.textContent = ago(seconds);
  });
  setInterval(() => { if (!document.hidden) refresh(); }, 10_000);
}
