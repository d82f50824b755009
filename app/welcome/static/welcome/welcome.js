// Ask the server every two seconds how its services are, and show that in the list.
"use strict";

const INTERVAL = 2000;
const list = document.querySelector(".services");
const summary = document.getElementById("summary");

// Only what changed is written, so that a screen reader is not made to read the summary again and again.
function write(element, text) {
  if (element.textContent.trim() !== text) {
    element.textContent = text;
  }
}

function show(id, state, text) {
  const row = document.getElementById(id);
  row.className = state;
  write(row.querySelector(".state"), state);
  write(row.querySelector(".text"), text);
}

async function refresh() {
  if (!document.hidden) {
    try {
      const response = await fetch(list.dataset.state, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!response.ok) {
        throw new Error(`status ${response.status}`);
      }
      const { services } = await response.json();
      services.forEach(({ id, ok, text }) => show(id, ok ? "up" : "down", text));
      write(summary, services.every(({ ok }) => ok) ? "All of them are up." : "Not all of them are up.");
    } catch (error) {
      Array.from(list.children, ({ id }) => show(id, "unknown", "the web server has to answer first"));
      write(summary, "The web server does not answer; this page tries again.");
    }
  }
  window.setTimeout(refresh, INTERVAL);
}

window.setTimeout(refresh, INTERVAL);
