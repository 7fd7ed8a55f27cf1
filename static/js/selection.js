// The bar of bulk actions says how many rows are selected.
{
  const bar = document.getElementById("bulk");
  const words = bar?.querySelector("span");
  const count = () => {
    const selected = [...bar.elements].filter((element) => element.checked).length;
    if (selected) words.textContent = `${selected} selected`;
  };
  if (words) for (const event of ["change", "htmx:afterSwap", "pageshow"]) addEventListener(event, count);
}
