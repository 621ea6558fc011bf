// A payment is approved by a passkey, which signs a challenge that is made for what the page says and for the
// account that is chosen. Whatever changes after that fits the signature no more.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const asked = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  allowCredentials: options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
});

const answered = ({ id, response }) => JSON.stringify({
  id,
  rawId: id,
  type: "public-key",
  response: {
    clientDataJSON: text(response.clientDataJSON),
    authenticatorData: text(response.authenticatorData),
    signature: text(response.signature),
    ...(response.userHandle ? { userHandle: text(response.userHandle) } : {}),
  },
});

const approve = async (form) => {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch("/consent/payment-challenge", { method: "POST", body });
  if (!answer.ok || !answer.headers.get("Content-Type").startsWith("application/json")) {
    // something else is due by now: the page will say what
    location.reload();
    return;
  }
  const { nonce, publicKey } = await answer.json();
  const credential = await navigator.credentials.get({ publicKey: asked(publicKey) });
  form.elements.nonce.value = nonce;
  form.elements.assertion.value = answered(credential);
  const decision = document.createElement("input");
  Object.assign(decision, { type: "hidden", name: "decision", value: "approve" });
  form.append(decision);
  form.submit();
};

for (const button of document.querySelectorAll('button[data-webauthn="payment"]')) {
  const notice = button.nextElementSibling;
  const tell = (words) => { notice.textContent = words; notice.hidden = false; };
  if (!window.PublicKeyCredential) {
    tell(notice.dataset.unsupported);
    continue;
  }
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    notice.hidden = true;
    try {
      await approve(button.form);
    } catch {
      button.disabled = false;
      tell(notice.dataset.failed);
    }
  });
}
