// WebAuthn in JSON, both ways: what the server asks with, and what it is answered (WebAuthn L3 §5.1.8 to 5.1.10).
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

/** The answer of a passkey to the options of the server, as JSON. */
export const signed = async (options, more = {}) => {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) };
  const { id, response } = await navigator.credentials.get({ publicKey, ...more });
  return JSON.stringify({
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
};

/** A new passkey by the options of the server, as JSON. */
export const made = async (options) => {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: named(options.excludeCredentials),
  };
  const credential = await navigator.credentials.create({ publicKey });
  const { id, response } = credential;
  return JSON.stringify({
    id,
    rawId: id,
    type: "public-key",
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    },
  });
};

/** What the server answers to the form at ``path``, as an object; null when the page must be shown anew. */
export const asked = async (path, form) => {
  const answer = await fetch(path, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  const json = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  return answer.ok && json ? answer.json() : null;
};
