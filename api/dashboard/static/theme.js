// The colours that were chosen, before anything is painted.
try {
  const chosen = localStorage.getItem("jobplatform.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // No storage, no choice.
}
