// Where the page has such a box already, it is meant for every way in.
for (const form of document.querySelectorAll("form.providers")) {
  const own = form.elements.remember;
  const other = [...document.querySelectorAll("[type=checkbox][name=remember]")].find((box) => box !== own);
  if (!other) continue;
  own.closest("label").hidden = true;
  form.addEventListener("submit", () => { own.checked = other.checked; });
}
