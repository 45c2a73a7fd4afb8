(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
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
  let waiting;
  async function ask(form, mediation) {
    const told = form.querySelector("[role=status]");
    const register = "register" in form.dataset;
    waiting?.abort();
    const mine = waiting = new AbortController();
    try {
      const answer = await fetch(form.dataset.options, {
        method: "POST", headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(register ? {} : { intent: form.dataset.intent }),
      });
      const json = await answer.json();
      if (!answer.ok) { told.textContent = json.detail; return; }
      const options = { publicKey: register ? creation(json) : request(json), signal: mine.signal };
      const found = await (register ? navigator.credentials.create(options)
        : navigator.credentials.get(mediation ? { ...options, mediation } : options));
      form.elements.credential.value = JSON.stringify(shown(found));
      form.submit();
    } catch (error) {
      if (mine.signal.aborted || mediation) return;
      told.textContent = words[error.name] || "That did not work. Try again.";
      form.querySelector("button").focus();
    }
  }
  for (const form of document.querySelectorAll("form.passkey[hidden]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); ask(form); });
  }
  const field = document.querySelector("input[autocomplete~=username][type=email]");
  const form = document.querySelector("form.passkey[data-intent=sign_in]");
  if (field && form) {
    field.autocomplete = "username webauthn";
    PublicKeyCredential.isConditionalMediationAvailable?.().then((can) => can && ask(form, "conditional"));
  }
})();
