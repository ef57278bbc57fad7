// The page works without this script. It updates the page in place while sliders move, and fetches the answers.
"use strict";

const PAUSE_MS = 250; // a slider at rest
const SLOW_MS = 2000;
const GONE = "The page's server does not answer. Does lsb-rag ui still run?";
const FAILED = "That failed; the terminal in which lsb-rag ui runs says why.";
const form = document.querySelector("form");
const main = document.querySelector("main");
const status = document.querySelector("#status");
const moved = new Set(); // names of the sliders that were moved; the others keep the value in the address
const answers = new Map(); // by address, so that a model is asked once
let asking = new AbortController();
let timer;
let shown = location.pathname + location.search;
let collection = form.collection.value;

// Return the address of the form's question. The parameters in `kept` are copied from the current address.
function address(kept = []) {
  const now = new URLSearchParams(location.search);
  const asked = new URLSearchParams({ q: form.q.value });
  if (form.collection.value) asked.set("collection", form.collection.value);
  for (const slider of form.querySelectorAll("input[type=range]")) {
    if (moved.has(slider.name)) asked.set(slider.name, slider.value);
    else if (now.has(slider.name)) asked.set(slider.name, now.get(slider.name));
  }
  for (const name of kept) if (now.has(name)) asked.set(name, now.get(name));
  return "/?" + asked;
}

async function fetched(url, signal) {
  const response = await fetch(url, { signal, headers: { "X-LSB-RAG": "page" } });
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  return { parsed, ok: response.ok };
}

// Show another address; a newer call wins. With `adopt`, or for another collection, its settings are shown too.
async function show(url, adopt = false) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  main.setAttribute("aria-busy", "true");
  status.textContent = "Searching…";
  const slow = setTimeout(() => {
    status.textContent = "Still at work. A collection is read through once, when it is first asked.";
  }, SLOW_MS);
  try {
    const { parsed } = await fetched(url, signal);
    const found = parsed.querySelector("main");
    if (!found) {
      status.textContent = FAILED;
      return;
    }
    main.replaceChildren(...found.childNodes);
    shown = url;
    document.title = parsed.title;
    const theirs = parsed.querySelector("#collection").value;
    if (adopt || theirs !== collection) takeOver(parsed);
    collection = theirs;
    const passages = main.querySelectorAll("[id^=lsb-] > h3").length;
    status.textContent = passages ? `${passages} passages from each.` : "";
    answer(signal);
  } catch (error) {
    if (error.name !== "AbortError") status.textContent = GONE;
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

// Another collection may have another strength.
function takeOver(page) {
  const focused = document.activeElement.id;
  moved.clear();
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
      if (ok || parsed.querySelector(".error")) place.replaceChildren(...parsed.body.cloneNode(true).childNodes);
      else place.textContent = FAILED;
    } catch (error) {
      if (error.name === "AbortError") return;
      place.textContent = GONE;
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  const url = address();
  if (url !== shown) history.pushState(null, "", url);
  show(url);
});

form.addEventListener("input", ({ target }) => {
  if (target.type !== "range") return;
  moved.add(target.name);
  form.querySelector(`output[for="${target.id}"]`).textContent = target.value;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const url = address(["passage"]);
    history.replaceState(null, "", url);
    show(url);
  }, PAUSE_MS);
});

form.addEventListener("change", ({ target }) => {
  if (target.id !== "collection") return;
  clearTimeout(timer);
  const url = new URL(address(), location);
  url.searchParams.delete("strength"); // it has its own
  history.pushState(null, "", url);
  show(url.pathname + url.search);
});

main.addEventListener("click", async (event) => {
  const why = event.target.closest("a.why");
  if (!why || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", why.href);
  await show(why.pathname + why.search);
  document.querySelector("#moved")?.focus();
});

addEventListener("popstate", async () => {
  const url = location.pathname + location.search;
  if (url === shown) return; // a citation, which only moves within the page
  await show(url, true);
  if (document.activeElement === document.body) main.focus();
});

answer(asking.signal);
