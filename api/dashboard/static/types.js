// The form that submits a job: times are typed in the viewer's zone, and what was wrong is where the cursor is.
"use strict";

(() => {
  const form = document.querySelector("[data-submission]");
  if (!form) return;
  const at = form.elements.runAt;
  const tell = () => {
    const when = at.value ? new Date(at.value) : new Date();
    form.querySelector("[data-ahead]").value = String(-when.getTimezoneOffset());
    form.querySelector("[data-zone]").textContent = when.toLocaleTimeString("en", { timeZoneName: "short" }).split(" ").pop();
  };
  at.addEventListener("input", tell);
  form.addEventListener("submit", tell);
  tell();
  const wrong = form.querySelector("[aria-invalid]") ?? form.querySelector("[data-focus]");
  if (wrong) wrong.focus();
})();
