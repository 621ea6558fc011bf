// A button beside a password field that shows what was typed. Every page works without it.
for (const input of document.querySelectorAll("input[data-reveal]")) {
  const button = document.createElement("button");
  const words = [input.dataset.reveal, input.dataset.conceal];
  button.type = "button";
  button.className = "reveal";
  button.textContent = words[0];
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = words[shown ? 0 : 1];
    input.focus();
  });
  input.insertAdjacentElement("afterend", button);
  input.form.addEventListener("submit", () => { input.type = "password"; });
}

// How hard a new password is to guess, roughly, while it is typed: a hint, no rule. The server judges.
function bitsOf(text, names) {
  let rest = text.toLowerCase();
  for (const name of names) if (name.length > 3) rest = rest.replaceAll(name, "\u0000");
  const seen = new Set();
  let bits = 0;
  let before = 0;
  for (const sign of rest) {
    const code = sign.codePointAt(0);
    // what repeats, or follows in the alphabet, tells next to nothing
    const known = Math.abs(code - before) < 2 || seen.has(before + ":" + code);
    seen.add(before + ":" + code);
    const own = /\p{L}/u.test(sign) ? 2.5 : /\d/.test(sign) ? 3 : 4;
    bits += known || code === 0 ? 0.5 : own;
    before = code;
  }
  return bits;
}
for (const place of document.querySelectorAll("[data-strength]")) {
  const input = document.getElementById(place.dataset.strength);
  const name = document.getElementById("username");
  const [meter, told] = [place.querySelector("meter"), place.querySelector("span")];
  input.addEventListener("input", () => {
    const words = place.dataset;
    const typed = input.value.normalize("NFC");
    const bits = bitsOf(typed, (name ? name.value : "").toLowerCase().split(/[^\p{L}\p{N}]+/u));
    const short = [...typed].length < Number(words.least);
    const level = short ? 0 : bits < 25 ? 1 : bits < 35 ? 2 : bits < 50 ? 3 : 4;
    place.hidden = typed === "";
    meter.value = level;
    told.textContent = [words.short, words.weak, words.fair, words.good, words.strong][level];
  });
}
