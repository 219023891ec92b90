// Shows new messages as they come. Without scripts the page is read by reloading it.
"use strict";

const EVERY_MS = 2000;

async function refresh() {
  const shown = document.getElementById("messages");
  if (document.hidden || shown.querySelector("details[open]")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("messages");
  if (fresh && fresh.dataset.newest !== shown.dataset.newest) shown.replaceWith(fresh);
}

setInterval(() => refresh().catch(() => {}), EVERY_MS); // a server that restarts is asked again
