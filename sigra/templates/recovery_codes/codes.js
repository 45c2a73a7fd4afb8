(() => {
  const field = document.getElementById("new-recovery-codes");
  const tools = document.getElementById("recovery-code-tools");
  const say = (text) => (tools.querySelector("[role=status]").textContent = text);
  const deeds = {
    copy: async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(field.value);
        say("Copied.");
      } catch {
        say("They are selected: copy them by the keyboard.");
      }
    },
    download: () => {
      const file = URL.createObjectURL(new Blob([`${field.labels[0].textContent}\n\n${field.value}\n`]));
      const link = Object.assign(document.createElement("a"), { href: file, download: "recovery-codes.txt" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 60000); // once it is saved
      say("Saved as recovery-codes.txt.");
    },
    print: () => print(),
  };
  tools.addEventListener("click", (event) => deeds[event.target.value]?.());
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.hidden = false;
})();
