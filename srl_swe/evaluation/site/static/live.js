// A page of `srl-swe report --serve`: asks whether there is news, and takes it over where nobody loses their place.
"use strict";
(() => {
  const EVERY_MS = 2000, where = document.querySelector('meta[name="srl-live"]').content, said = document.getElementById("live");
  const browses = Boolean(document.getElementById("entry"));
  let known = null;

  async function look() {
    try {
      const answer = await fetch(where, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const version = await answer.text();
      if (known !== null && version !== known) await take();
      else if (!said.querySelector("a")) said.textContent = "Live.";
      known = version;
    } catch {
      said.textContent = "The server has stopped; this is how things stood.";
    }
    setTimeout(look, EVERY_MS);
  }

  async function take() {
    if (browses) {
      const link = document.createElement("a");
      link.href = location.pathname;
      link.textContent = "show it";
      said.replaceChildren("There is news: ", link);
      return;
    }
    const page = new DOMParser().parseFromString(await (await fetch(location.pathname, { cache: "no-store" })).text(), "text/html");
    const open = [...document.querySelectorAll("details")].map((one) => one.open);
    document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
    document.querySelector(".top nav").replaceChildren(...page.querySelector(".top nav").childNodes);
    document.querySelectorAll("details").forEach((one, i) => { if (i < open.length) one.open = open[i]; });
    said.textContent = `Live, last news at ${new Date().toLocaleTimeString("en-GB")}.`;
  }

  look();
})();
