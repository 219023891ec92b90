// The page's part of the component: it gives a token whenever the component wants one.
const inbox = document.querySelector("carillon-inbox");
const form = document.querySelector("#sign-in");
const { csrf } = inbox.dataset;

async function freshToken() {
  if (!csrf) return null;
  const headers = { "X-CSRFToken": csrf };
  const response = await fetch("/demo/token", { method: "POST", headers });
  return response.ok ? (await response.json()).token : null;
}

inbox.addEventListener("carillon-token", (event) => event.detail.respondWith(freshToken()));

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  inbox.token = new FormData(form).get("token").trim();
});

for (const box of document.querySelectorAll("[data-attribute]"))
  box.addEventListener("change", () => {
    const { attribute } = box.dataset;
    if (attribute === "dir") document.documentElement.dir = box.value;
    else inbox.setAttribute(attribute, box.value);
  });

for (const button of document.querySelectorAll("button[data-copies]"))
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copies).textContent);
    button.textContent = "Copied";
  });
