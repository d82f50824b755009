// Shows the queues, and asks again every two seconds. What comes from a message is only ever set as text.
"use strict";

const EVERY_MS = 2000;
const PLOTS_EVERY_MS = 5000;
const LIMIT_MS = 20000;
// Many messages take their time to be moved.
const CHANGE_LIMIT_MS = 300000;
const token = document.querySelector("meta[name=token]").content;
const find = (id) => document.getElementById(id);
const cards = new Map();
let queues = [];

async function ask(path, words) {
  const options = { signal: AbortSignal.timeout(words ? CHANGE_LIMIT_MS : LIMIT_MS), cache: "no-store" };
  if (words) {
    Object.assign(options, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Token": token },
      body: JSON.stringify(words),
    });
  }
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error || answer.statusText);
  return found;
}

function duration(seconds) {
  const parts = [];
  let rest = Math.floor(seconds);
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const number = Math.floor(rest / length);
    rest %= length;
    if (number) parts.push(`${number} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function messages(number) {
  return `${number} message${number === 1 ? "" : "s"}`;
}

// --- The cards ---------------------------------------------------------------

function makeCard(name) {
  const card = find("queue").content.firstElementChild.cloneNode(true);
  card.dataset.name = name;
  card.querySelector("h2").textContent = name;
  card.setAttribute("aria-label", `Queue ${name}`);
  card.addEventListener("click", (event) => {
    const action = event.target.dataset.do;
    if (action) actions[action](queues.find((queue) => queue.name === name));
  });
  find("queues").append(card);
  return { card, plot: null };
}

function roleOf(queue) {
  if (queue.sources.length) return `Dead letters of ${queue.sources.join(", ")}`;
  if (!queue.max_receives) return "No dead letters: a task that fails comes again for ever";
  const target = queues.find((other) => other.name === queue.dead_letters);
  const held = !target || target.problem ? "their queue is not there" : `${target.total} now`;
  return `Dead letters after ${queue.max_receives} deliveries, ${held}; hidden for ${duration(queue.visibility_timeout)}`;
}

function showCard(queue) {
  if (!cards.has(queue.name)) cards.set(queue.name, makeCard(queue.name));
  const { card } = cards.get(queue.name);
  const problem = card.querySelector(".problem");
  problem.hidden = !queue.problem;
  problem.textContent = queue.problem || "";
  for (const part of [".role", "dl", ".plot", ".actions"]) card.querySelector(part).hidden = Boolean(queue.problem);
  card.querySelector(".actions").style.display = queue.problem ? "none" : "";
  card.querySelector("dl").style.display = queue.problem ? "none" : "";
  if (queue.problem) return;
  card.querySelector(".role").textContent = roleOf(queue);
  const oldest = queue.total === 0 ? "–" : queue.oldest_at_most === null ? "?" : `< ${duration(queue.oldest_at_most + 1)}`;
  const change = queue.change === null ? "?" : queue.change > 0 ? `+${queue.change}` : String(queue.change);
  const shown = { visible: queue.visible, in_flight: queue.in_flight, delayed: queue.delayed, oldest, change };
  for (const [key, value] of Object.entries(shown)) {
    const cell = card.querySelector(`[data-of=${key}]`);
    cell.textContent = value;
    cell.classList.toggle("small", key === "oldest");
  }
  card.querySelector("[data-do=peek]").disabled = queue.visible === 0;
  card.querySelector("[data-do=purge]").disabled = queue.total === 0;
  const redrive = card.querySelector("[data-do=redrive]");
  redrive.hidden = queue.sources.length === 0;
  redrive.disabled = queue.visible === 0;
}

function show(state) {
  find("where").textContent = state.where;
  find("trouble").hidden = !state.error;
  find("trouble").textContent = state.error || "";
  find("live").className = state.error ? "down" : "up";
  find("live").textContent = state.error ? "not live" : "live";
  document.body.setAttribute("aria-busy", "false");
  if (state.error) return;
  queues = state.queues;
  for (const [name, { card, plot }] of cards) {
    if (queues.some((queue) => queue.name === name)) continue;
    if (plot) plot.destroy();
    card.remove();
    cards.delete(name);
  }
  queues.forEach(showCard);
  const total = queues.reduce((sum, queue) => sum + (queue.used ? queue.total : 0), 0);
  document.title = total ? `(${total}) Queues` : "Queues";
}

async function refresh() {
  try {
    show(await ask("/api/queues"));
  } catch (error) {
    const text = "The page's server does not answer: is the service `queues` up?";
    show({ where: find("where").textContent, error: text, queues });
  }
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, EVERY_MS);
}

// --- The plots ---------------------------------------------------------------

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function clock(at) {
  const date = new Date(at * 1000);
  return [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

function makePlot(holder, data) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const line = (label, name, dash) => ({ label, stroke: colour(name), width: 1.5, dash, points: { show: false } });
  return new uPlot({
    width: holder.clientWidth,
    height: 120,
    cursor: { y: false },
    scales: {
      x: { range: () => [Date.now() / 1000 - 3600, Date.now() / 1000] },
      y: { range: (_, least, most) => [0, Math.max(most || 0, 4)] },
    },
    axes: [{ ...axis, size: 24, space: 60, values: (_, times) => times.map(clock) }, { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] }],
    series: [{ label: "at", value: (_, at) => (at === null ? "–" : clock(at)) },
      line("waiting", "blue"), line("in flight", "amber", [6, 3]), line("delayed", "grey", [2, 3])],
  }, data, holder);
}

function showPlots(points) {
  for (const [name, entry] of cards) {
    const counts = points.queues[name];
    const holder = entry.card.querySelector(".plot");
    if (!counts || holder.hidden) continue;
    const data = [points.times, ...counts];
    if (entry.plot) {
      if (entry.plot.width !== holder.clientWidth) entry.plot.setSize({ width: holder.clientWidth, height: 120 });
      entry.plot.setData(data);
    } else {
      entry.plot = makePlot(holder, data);
    }
    holder.setAttribute("aria-label", `${name} in the last hour, from ${points.times.length} looks`);
  }
}

async function plots() {
  if (!document.hidden) {
    // A failure is shown by the other poll already.
    try { showPlots(await ask("/api/history")); } catch (error) { console.warn(error); }
  }
  setTimeout(plots, PLOTS_EVERY_MS);
}

function redraw() {
  for (const entry of cards.values()) {
    if (entry.plot) entry.plot.destroy();
    entry.plot = null;
  }
}

// --- What the buttons do -----------------------------------------------------

function confirm({ title, text, yes, typed, danger, does }) {
  find("ask-title").textContent = title;
  find("ask-text").textContent = text;
  find("ask-typed").hidden = !typed;
  find("ask-trouble").hidden = true;
  const name = find("ask-name");
  const button = find("ask-yes");
  name.value = "";
  button.textContent = yes;
  button.className = danger ? "danger" : "";
  button.disabled = Boolean(typed);
  name.oninput = () => { button.disabled = name.value !== typed; };
  name.onkeydown = (event) => { if (event.key === "Enter" && !button.disabled) button.click(); };
  button.onclick = async () => {
    button.disabled = true;
    try {
      await does();
      find("ask").close();
    } catch (error) {
      find("ask-trouble").textContent = error.message;
      find("ask-trouble").hidden = false;
      button.disabled = false;
    }
    await refresh();
  };
  find("ask").showModal();
}

function element(kind, text, className) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showMessage(message, queue) {
  const row = element("article", "", "message");
  const facts = [`sent ${duration(Date.now() / 1000 - message.sent_at)} ago`,
    queue.max_receives ? `delivery ${message.receives} of ${queue.max_receives}` : `delivery ${message.receives}`];
  if (message.task === null) {
    row.append(element("h3", "not Celery's"), element("pre", message.text));
  } else {
    const kwargs = message.kwargs === "{}" ? "" : `, **${message.kwargs}`;
    row.append(element("h3", `${message.task}(*${message.args}${kwargs})`));
    facts.push(`id ${message.task_id}`, `retries ${message.retries}`);
    if (message.eta) facts.push(`not before ${message.eta}`);
    if (message.expires) facts.push(`expires ${message.expires}`);
  }
  facts.push(`${message.bytes} bytes`, `message ${message.id}`);
  row.append(element("p", facts.join(", ")));
  if (message.failure) {
    row.append(element("p", `failed ${duration(Date.now() / 1000 - message.failure.at)} ago:`), element("pre", message.failure.text));
  }
  if (queue.sources.length) {
    const back = element("button", "Send back");
    back.type = "button";
    back.onclick = async () => {
      back.disabled = true;
      try {
        await ask("/api/redrive", { queue: queue.name, ids: [message.id] });
        back.textContent = "Sent back";
      } catch (error) {
        row.append(element("p", error.message, "problem"));
        back.disabled = false;
      }
      await refresh();
    };
    row.append(back);
  }
  return row;
}

async function look(queue) {
  const found = await ask("/api/peek", { queue: queue.name });
  find("inside-title").textContent = `Inside ${queue.name}`;
  const notes = [`${found.messages.length} of ${messages(found.queue.visible)} that wait.`];
  if (queue.in_flight + queue.delayed) notes.push("SQS shows none that are in flight or delayed.");
  if (found.anew) notes.push(`${messages(found.anew)} would have been a dead letter at the next delivery, and was sent anew with its deliveries at 0.`);
  find("inside-note").textContent = notes.join(" ");
  find("messages").replaceChildren(...found.messages.map((message) => showMessage(message, queue)));
  find("inside").showModal();
}

const actions = {
  peek(queue) {
    if (queue.max_receives) {
      confirm({
        title: `Look inside ${queue.name}?`,
        text: `SQS shows a message by delivering it: the look counts as one of the ${queue.max_receives} deliveries `
          + "that each message gets. One that would be a dead letter at its next delivery is sent anew.",
        yes: "Look",
        does: () => look(queue),
      });
      return;
    }
    look(queue).catch((error) => {
      find("trouble").hidden = false;
      find("trouble").textContent = error.message;
    });
  },
  redrive(queue) {
    confirm({
      title: "Send all back?",
      text: `${messages(queue.visible)} of ${queue.name} go back to ${queue.sources.join(", ")}, and run again.`,
      yes: "Send back",
      does: () => ask("/api/redrive", { queue: queue.name }),
    });
  },
  purge(queue) {
    confirm({
      title: `Purge ${queue.name}?`,
      text: `This deletes ${messages(queue.total)}: ${queue.visible} waiting, ${queue.in_flight} in flight, `
        + `${queue.delayed} delayed. Nothing brings them back.`,
      yes: "Delete them",
      typed: queue.name,
      danger: true,
      does: () => ask("/api/purge", { queue: queue.name, confirmed: queue.name }),
    });
  },
};

// --- Keys and the rest -------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...document.querySelectorAll(".queue")];
  const here = all.indexOf(document.activeElement.closest(".queue"));
  if (event.key === "j" || event.key === "k") {
    const next = all[Math.min(Math.max(here + (event.key === "j" ? 1 : -1), 0), all.length - 1)];
    if (next) next.focus();
  } else if (event.key === "l" && here >= 0) {
    const button = all[here].querySelector("[data-do=peek]");
    if (!button.disabled) button.click();
  }
});
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
poll().then(plots);
