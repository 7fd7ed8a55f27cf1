// A mark or a bar with a tooltip lies above the link of its row, and passes a click on to it.
document.addEventListener("click", (event) => {
  const mark = event.target.closest("td :is([title], .stackbar)");
  if (!mark || event.target.closest("a, button, input, label, summary")) return;
  mark.closest("tr").querySelector(".open")?.dispatchEvent(new MouseEvent("click", event));
});
