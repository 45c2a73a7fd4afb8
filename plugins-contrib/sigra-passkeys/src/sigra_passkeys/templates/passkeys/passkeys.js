(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  const FRESH = 4 * 60 * 1000; // milliseconds; the server forgets a challenge after five minutes

  // For browsers that cannot do it themselves (Web Authentication, Level 3, sections 5.1.8 to 5.1.10).
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
  const creation = (json) => PublicKeyCredential.parseCreationOptionsFromJSON?.(json) ?? {
    ...json, challenge: bytes(json.challenge), user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: named(json.excludeCredentials),
  };
  const request = (json) => PublicKeyCredential.parseRequestOptionsFromJSON?.(json) ?? {
    ...json, challenge: bytes(json.challenge), allowCredentials: named(json.allowCredentials),
  };
  const shown = (one) => one.toJSON?.() ?? {
    id: one.id, rawId: text(one.rawId), type: one.type, clientExtensionResults: one.getClientExtensionResults(),
    response: Object.fromEntries(["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]
      .filter((name) => one.response[name]).map((name) => [name, text(one.response[name])])),
  };

  const words = {
    NotAllowedError: "Nothing was done. Try again when you are ready.",
    InvalidStateError: "This device has a passkey for your account already.",
    NotSupportedError: "This device cannot make such a passkey.",
    SecurityError: "Passkeys do not work at this address.",
  };
  const mailField = document.querySelector("input[autocomplete~=username][type=email]");
  let waiting;

  async function ask(form, mediation) {
    const told = form.querySelector("[role=status]");
    const register = "register" in form.dataset;
    waiting?.abort();
    const { signal } = waiting = new AbortController();
    try {
      if (!mediation) told.textContent = "";
      const answer = await fetch(form.dataset.options, {
        method: "POST", signal, headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(register ? {} : { intent: form.dataset.intent }),
      });
      const json = await answer.json();
      if (!answer.ok) throw Object.assign(new Error(), { told: json.detail });
      const options = { publicKey: register ? creation(json) : request(json), signal };
      const found = await (register ? navigator.credentials.create(options)
        : navigator.credentials.get(mediation ? { ...options, mediation } : options));
      form.elements.credential.value = JSON.stringify(shown(found));
      form.elements.remember && (form.elements.remember.disabled =
        !document.querySelector("[type=checkbox][name=remember]")?.checked);
      form.submit();
    } catch (error) {
      if (signal.aborted || mediation) return;
      told.textContent = error.told || words[error.name] || "That did not work. Try again.";
      form.querySelector("button").focus();
      offer();
    }
  }

  // Among what the browser fills in at the address field; not what was refused just now.
  async function offer() {
    const form = document.querySelector("form.passkey[data-intent=sign_in]:not([data-refused])");
    if (!mailField || !form || !await PublicKeyCredential.isConditionalMediationAvailable?.()) return;
    ask(form, "conditional");
    const mine = waiting;
    setTimeout(() => waiting === mine && !mine.signal.aborted && offer(), FRESH);
  }

  for (const one of document.querySelectorAll(".no-passkeys")) one.hidden = true;
  for (const form of document.querySelectorAll("form.passkey[hidden]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); ask(form); });
  }
  if (mailField) mailField.autocomplete = "username webauthn";
  offer();
})();
