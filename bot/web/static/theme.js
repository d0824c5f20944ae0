// Runs before the page is drawn, so that a chosen theme does not flash the other one first.
"use strict";
(() => {
  try {
    const chosen = localStorage.getItem("quantahr-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is blocked: the system's theme it is.
  }
})();
