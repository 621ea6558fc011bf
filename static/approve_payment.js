// A payment is approved by a passkey, which signs a challenge that is made for what the page says and for the
// account that is chosen. Whatever changes after that fits the signature no more.
import { asked, signed } from "./webauthn.js";

const approve = async (form) => {
  const answer = await asked("/consent/payment-challenge", form);
  if (answer === null) {
    // something else is due by now: the page will say what; a reload would send a refused form once more
    location.assign(`/authorize/resume?request=${form.elements.txn.value}`);
    return;
  }
  const signature = await signed(answer.publicKey);
  form.elements.nonce.value = answer.nonce;
  form.elements.assertion.value = signature;
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
