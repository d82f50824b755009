// While an export is queued or running, fetch this page again and put its list in the place of the old one.
"use strict";

async function refresh() {
  let exports = document.getElementById("exports");
  if (exports === null || !("moving" in exports.dataset)) {
    return;
  }
  // Somebody who is choosing rows, or whose focus is in the list, is not to be disturbed.
  const busy = exports.contains(document.activeElement) || exports.querySelector(".action-select:checked");
  if (!busy && !document.hidden) {
    try {
      const response = await fetch(window.location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const table = page.querySelector("#exports #result_list");
      if (response.ok && table !== null) {
        exports.querySelector("#result_list").replaceWith(table);
        if (!("moving" in page.getElementById("exports").dataset)) {
          delete exports.dataset.moving;
          window.location.reload();
          return;
        }
      }
    } catch (error) {
      console.warn("The list could not be refreshed:", error);
    }
  }
  window.setTimeout(refresh, 1000);
}

refresh();
