// Buttons that use or make a passkey. A form names where its options come from; without script it is not shown.
import { asked, made, signed } from "./webauthn.js";

const MINUTES = 60 * 1000;
// a challenge lives five minutes: what waits in the user name's field is asked for anew before that
const AGAIN = 4 * MINUTES;
let waiting = new AbortController();

const send = async (form, ceremony) => {
  const options = await asked(form.dataset.options, form);
  if (options === null) {
    // by its address: what a page answered to a form is not asked for again by sending the form
    location.assign(form.dataset.page);
    return;
  }
  form.elements.answer.value = await ceremony(options);
  form.submit();
};

const offer = async (form) => {
  const can = window.PublicKeyCredential.isConditionalMediationAvailable;
  if (!can || !(await can.call(window.PublicKeyCredential))) return;
  waiting.abort();
  waiting = new AbortController();
  setTimeout(() => offer(form), AGAIN);
  const options = await asked(form.dataset.options, form);
  if (options === null) return;
  try {
    form.elements.answer.value = await signed(options, { mediation: "conditional", signal: waiting.signal });
  } catch {
    return;
  }
  form.submit();
};

for (const button of document.querySelectorAll('button[data-webauthn="login"], button[data-webauthn="register"]')) {
  const { form } = button;
  const notice = form.querySelector("[data-failed]");
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    notice.hidden = true;
    // one ceremony at a time: what waits in a field makes room
    waiting.abort();
    try {
      await send(form, button.dataset.webauthn === "register" ? made : signed);
    } catch {
      button.disabled = false;
      notice.textContent = notice.dataset.failed;
      notice.hidden = false;
    }
  });
  if ("autofill" in form.dataset) offer(form);
}
