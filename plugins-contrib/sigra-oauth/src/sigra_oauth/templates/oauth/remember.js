// Whoever checks the page's box means every way in.
for (const form of document.querySelectorAll("form.providers")) {
  form.addEventListener("submit", () => {
    const own = form.querySelector("[type=hidden][name=remember]");
    if (own) own.disabled = !document.querySelector("[type=checkbox][name=remember]")?.checked;
  });
}
