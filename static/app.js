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
