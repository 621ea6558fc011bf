// Passkeys. A form with a button that has data-webauthn stays hidden where the browser has none; its field
// "credential" gets the browser's answer, and it is sent like any other form.
const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (credentials) => (credentials || []).map((one) => ({ ...one, id: bytes(one.id) }));

async function optionsOf(form, button) {
  if (button.dataset.publickey) return JSON.parse(button.dataset.publickey);
  const fields = new URLSearchParams({ csrf: form.elements.csrf.value });
  if (form.elements.kind) fields.set("kind", form.elements.kind.value);
  const response = await fetch(button.dataset.options, { method: "POST", body: fields });
  if (!response.ok) throw new Error(`options: ${response.status}`);
  return response.json();
}

async function answerOf(registers, options, more = {}) {
  const publicKey = { ...options, challenge: bytes(options.challenge) };
  if (registers) {
    publicKey.user = { ...options.user, id: bytes(options.user.id) };
    publicKey.excludeCredentials = named(options.excludeCredentials);
    return navigator.credentials.create({ publicKey, ...more });
  }
  publicKey.allowCredentials = named(options.allowCredentials);
  return navigator.credentials.get({ publicKey, ...more });
}

function asJson(credential) {
  const given = credential.response;
  const response = { clientDataJSON: text(given.clientDataJSON) };
  if (given.attestationObject) {
    response.attestationObject = text(given.attestationObject);
    response.transports = given.getTransports ? given.getTransports() : [];
  } else {
    response.authenticatorData = text(given.authenticatorData);
    response.signature = text(given.signature);
    if (given.userHandle) response.userHandle = text(given.userHandle);
  }
  const { credProps } = credential.getClientExtensionResults();
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credProps ? { credProps: { rk: credProps.rk === true } } : {},
  });
}

function send(form, credential) {
  form.elements.credential.value = asJson(credential);
  form.submit();
}

let waiting = null;

// The browser offers passkeys in the field of the user name until the person chooses one, or something else.
async function offer(form, button) {
  const conditional = window.PublicKeyCredential.isConditionalMediationAvailable;
  if (!conditional || !(await conditional.call(window.PublicKeyCredential))) return;
  waiting = new AbortController();
  const { signal } = waiting;
  try {
    const options = await optionsOf(form, button);
    // a challenge counts for five minutes
    const renewal = setTimeout(() => {
      waiting.abort();
      offer(form, button);
    }, options.timeout * 0.8);
    signal.addEventListener("abort", () => clearTimeout(renewal));
    send(form, await answerOf(false, options, { mediation: "conditional", signal }));
  } catch {
    // the other ways to sign in are still there
  }
}

for (const button of window.PublicKeyCredential ? document.querySelectorAll("button[data-webauthn]") : []) {
  const form = button.form;
  const registers = button.dataset.webauthn === "register";
  const failed = form.querySelector("[data-failed]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (waiting) waiting.abort();
    failed.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      send(form, await answerOf(registers, await optionsOf(form, button)));
    } catch {
      button.removeAttribute("aria-busy");
      failed.hidden = false;
    }
  });
  if (button.dataset.webauthn === "login" && button.hasAttribute("data-autofill")) offer(form, button);
}
