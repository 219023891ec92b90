// Shows new messages as they arrive. Without scripts, reload the page to see them.
"use strict";

const EVERY_MS = 2000;

async function refresh() {
  const shown = document.getElementById("messages");
  if (document.hidden || shown.querySelector("details[open]")) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const latest = page.getElementById("messages");
  if (latest && latest.dataset.newest !== shown.dataset.newest) shown.replaceWith(latest);
}

setInterval(() => refresh().catch(() => {}), EVERY_MS); // the server may be restarting: try again later
