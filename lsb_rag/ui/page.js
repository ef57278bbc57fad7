// The page works without this: it keeps the page in place while sliders move, and fetches answers when they are ready.
"use strict";

const PAUSE_MS = 250; // a slider at rest
const SLOW_MS = 2000;
const form = document.querySelector("form");
const main = document.querySelector("main");
const status = document.querySelector("#status");
const answers = new Map(); // by address: a model is asked once
let asking = new AbortController();
let timer;
let shown = location.pathname + location.search;

function address() {
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  return "/?" + new URLSearchParams(given);
}

async function fetched(url, signal) {
  const response = await fetch(url, { signal });
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  return { parsed, ok: response.ok };
}

// Show what another address holds, and with `adopt` its settings; only the newest request is shown.
async function show(url, adopt = false) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  shown = url;
  main.setAttribute("aria-busy", "true");
  status.textContent = "Searching…";
  const slow = setTimeout(() => {
    status.textContent = "Still at work. A collection is read through once, when it is first asked.";
  }, SLOW_MS);
  try {
    const page = (await fetched(url, signal)).parsed;
    if (signal.aborted) return;
    main.replaceChildren(...page.querySelector("main").childNodes);
    document.title = page.title;
    if (adopt) takeOver(page);
    status.textContent = "";
    answer(signal);
  } catch (error) {
    if (error.name !== "AbortError") status.textContent = "The page's server does not answer. Does lsb-rag ui still run?";
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

// Another collection may have another strength.
function takeOver(page) {
  const focused = document.activeElement.id;
  form.q.value = page.querySelector("#q").value;
  form.querySelector(".settings").replaceChildren(...page.querySelector(".settings").childNodes);
  if (focused) document.getElementById(focused)?.focus();
}

async function answer(signal) {
  for (const place of main.querySelectorAll("[data-answer]")) {
    const url = place.dataset.answer;
    place.textContent = "Answering…";
    try {
      const { parsed, ok } = answers.get(url) ?? (await fetched(url, signal));
      if (ok) answers.set(url, { parsed, ok });
      place.replaceChildren(...parsed.body.cloneNode(true).childNodes);
    } catch (error) {
      if (error.name === "AbortError") return;
      place.textContent = "The page's server does not answer.";
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const url = address();
  if (url !== shown) history.pushState(null, "", url);
  show(url);
});

form.addEventListener("input", ({ target }) => {
  if (target.type !== "range") return;
  form.querySelector(`output[for="${target.id}"]`).textContent = target.value;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const url = address();
    history.replaceState(null, "", url);
    show(url);
  }, PAUSE_MS);
});

form.addEventListener("change", ({ target }) => {
  if (target.id !== "collection") return;
  for (const name of ["strength", "rerank"]) if (form.elements[name]) form.elements[name].disabled = true; // its own
  const url = address();
  history.pushState(null, "", url);
  show(url, true);
});

main.addEventListener("click", async (event) => {
  const why = event.target.closest("a.why");
  if (!why || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", why.href);
  await show(why.pathname + why.search);
  document.querySelector("#moved")?.focus();
});

addEventListener("popstate", () => {
  const url = location.pathname + location.search;
  if (url !== shown) show(url, true); // not for a citation, which only moves within the page
});

answer(asking.signal);
