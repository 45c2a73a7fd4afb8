(() => {
  const move = () => {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search);
    const field = document.querySelector("input[name=token]");
    if (!field) return;
    const instead = field.form.querySelector("fieldset") ?? field.closest(".field");
    field.value = token;
    field.disabled = false;
    instead.hidden = instead.disabled = true;
    document.querySelector("main [role=alert]")?.remove(); // told of another token
  };
  addEventListener("hashchange", move);
  move();
})();
