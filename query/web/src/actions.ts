/** What the page does: asks the service, and puts the answer into the state. */

import { ApiError, inBox, type LabelsQuestion } from "./api.ts";
import type { App } from "./app.ts";
import { boxAround, overlap } from "./geometry.ts";
import { placesOf, rowFeatures } from "./rows.ts";
import { collectionOf, filterOf, hasQuestion, rankedHits, type Remote, type State } from "./state.ts";
import type { Chip, Classification, Hits, Job, Position } from "./types.ts";

type Answers = { [K in keyof State]: State[K] extends Remote<infer T> ? T : never };
type Question = { [K in keyof State]: State[K] extends Remote<unknown> ? K : never }[keyof State];

const SUGGESTIONS = 8;
const PAIRS = 50;
/** Hits whose pixels are looked at, as many as the service allows by default. */
const EXPLAINED = 100;
/** Family of encoders whose vectors are means over pixels. */
const PIXELWISE = "dense";
const POLL = 700;
/** Chips of a finished job that are drawn; its file holds all. */
const DRAWN = 200_000;

/** Times in a row that a job is asked after in vain before it is given up. */
const SILENT = 20;
const NOTHING = Object.fromEntries(
  (
    ["hits", "matches", "heat", "classified", "evaluation", "job", "suggestions", "pairs", "table"] as const
  ).map((what) => [what, { is: "idle" }]),
) as Partial<State>;

const running = new Map<string, AbortController>();
/** What was classified last and at once, and so may be again after every label. */
let live: "view" | "everything" | null = null;

/** Ask, show that it is on its way, then the answer or what went wrong; a later question of its kind replaces it. */
async function ask<K extends Question>(
  { store }: App,
  what: K,
  run: (signal: AbortSignal) => Promise<Answers[K] | null>,
): Promise<Answers[K] | null> {
  stop(what);
  const controller = new AbortController();
  running.set(what, controller);
  const put = (answer: Remote<unknown>) => store.set({ [what]: answer } as unknown as Partial<State>);
  put({ is: "loading" });
  try {
    const value = await run(controller.signal);
    if (controller.signal.aborted) return null;
    put(value === null ? { is: "idle" } : { is: "done", value });
    return value;
  } catch (error) {
    if (controller.signal.aborted) return null;
    put({ is: "failed", message: told(error) });
    return null;
  }
}

function stop(what: Question): void {
  running.get(what)?.abort();
  running.delete(what);
}

/** Give up all questions: another store is looked at. */
export function forget({ store }: App): void {
  for (const controller of running.values()) controller.abort();
  running.clear();
  live = null;
  store.set({ ...NOTHING });
}

function told(error: unknown): string {
  if (!(error instanceof ApiError)) {
    console.error(error);
    return "The answer cannot be read. Ask again.";
  }
  if (error.status === 401) document.dispatchEvent(new CustomEvent("key-wanted"));
  return error.message;
}

export async function loadCollections(app: App): Promise<void> {
  const { store, api } = app;
  const all = await ask(app, "collections", () => api.collections());
  if (!all?.length) return;
  const known = all.some(({ id }) => id === store.now.collection);
  store.set({ collection: known ? store.now.collection : all[0]!.id });
}

/** What the page needs to know of a collection: its scenes, and the chips that the URL names. */
export async function openCollection(app: App): Promise<void> {
  const { store, api } = app;
  const { collection: c, positives, negatives, labels } = store.now;
  if (!c) return;
  store.set({ rasters: [], chips: new Map() });
  void resolve(app, [...positives, ...negatives, ...Object.keys(labels)]);
  try {
    const rasters = await api.rasters(c);
    if (store.now.collection === c) store.set({ rasters });
  } catch (error) {
    told(error); // without scenes the chips are still there
  }
}

export function learn({ store }: App, chips: readonly Chip[]): void {
  const fresh = chips.filter(({ properties: { id } }) => !store.now.chips.has(id));
  if (!fresh.length) return;
  store.set({
    chips: new Map([...store.now.chips, ...fresh.map((chip) => [chip.properties.id, chip] as const)]),
  });
}

/** Fetch the chips that are known by id only. */
export async function resolve(app: App, ids: readonly string[]): Promise<void> {
  const { store, api } = app;
  const { collection: c, chips } = store.now;
  const missing = ids.filter((id) => !chips.has(id));
  if (!c || !missing.length) return;
  const found = await Promise.allSettled(missing.map((id) => api.item(c, id)));
  const gone = missing.filter((_, i) => found[i]!.status === "rejected");
  learn(
    app,
    found.flatMap((one) => (one.status === "fulfilled" ? [withId(one.value)] : [])),
  );
  if (gone.length)
    say(`${gone.length === 1 ? "A chip" : `${gone.length} chips`} of this link cannot be read.`);
}

/** The chip at a place, or null where there is none. */
export async function chipAt(app: App, place: Position): Promise<Chip | null> {
  const { store, api } = app;
  if (!store.now.collection) return null;
  try {
    const chip = withId(await api.nearest(store.now.collection, place));
    learn(app, [chip]);
    return chip;
  } catch (error) {
    say(error instanceof ApiError && error.status === 404 ? "There is no chip here." : told(error));
    return null;
  }
}

export async function search(app: App): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  if (!now.collection || !hasQuestion(now)) {
    stop("hits");
    stop("matches");
    return store.set({ hits: { is: "idle" }, matches: { is: "idle" } });
  }
  const { positives, negatives, spread, k } = now;
  const question = {
    ...filterOf(now),
    positives: [...positives],
    negatives: [...negatives],
    k: k + positives.length + negatives.length, // the examples are hits too, and are left out
    ...(spread ? { spread } : {}),
  };
  const hits = await ask(app, "hits", async (signal) => {
    return withIds(await api.search(now.collection!, question, now.upload, signal));
  });
  if (hits) learn(app, hits.features);
  await explain(app);
}

/** What of each hit matches, where the encoder can tell; an uploaded chip is not sent again for it. */
async function explain(app: App): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  const ids = rankedHits(now).map(({ properties: { id } }) => id);
  const able = collectionOf(now)?.encoder.name.startsWith(PIXELWISE) && !now.upload && now.positives.length;
  stop("matches");
  if (!able || !ids.length) return store.set({ matches: { is: "idle" } });
  const question = {
    ids: ids.slice(0, EXPLAINED),
    positives: [...now.positives],
    negatives: [...now.negatives],
  };
  await ask(app, "matches", (signal) => api.explain(now.collection!, question, signal));
}

export async function heatMap(app: App): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  const wanted =
    now.collection && now.tab === "find" && now.layers.includes("heat") && now.positives.length > 0;
  if (!wanted) {
    if (now.positives.length) return; // it is only out of sight
    stop("heat");
    if (now.heat.is !== "idle") store.set({ heat: { is: "idle" } });
    return;
  }
  const { positives, negatives } = now;
  const question = {
    ...inBox(filterOf(now), now.bounds),
    positives: [...positives],
    negatives: [...negatives],
  };
  await ask(app, "heat", (signal) => api.heatMap(now.collection!, question, signal));
}

/** Change the classes of chips; null takes a label away. */
export function label({ store }: App, id: string, name: string | null): void {
  const labels = { ...store.now.labels };
  if (name === null || labels[id] === name) delete labels[id];
  else labels[id] = name;
  store.set({ labels });
}

function taught(state: State): LabelsQuestion {
  return { ...filterOf(state), labels: { ...state.labels }, method: state.method };
}

/** Classify again what was classified at once: every further label shows what it changes. */
export async function classifyAgain(app: App): Promise<void> {
  if (live) await classify(app, live === "everything");
}

/** Classify the area, or what is in view; a large area becomes a job. */
export async function classify(app: App, everything = false): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  if (!now.collection) return;
  live = null;
  if (now.job.is === "done" && now.job.value.status === "running") void cancel(app, now.job.value);
  else {
    stop("job");
    store.set({ job: { is: "idle" } });
  }
  void ask(app, "evaluation", (signal) => api.evaluate(now.collection!, taught(now), signal)).then((made) => {
    if (made)
      void resolve(
        app,
        made.doubtful.map(({ id }) => id),
      );
  });
  const question = everything ? taught(now) : { ...taught(now), ...inBox(filterOf(now), now.bounds) };
  await ask(app, "classified", async (signal) => {
    const answer = await api.classify(now.collection!, question, signal);
    if ("chips" in answer) {
      live = everything ? "everything" : "view";
      return answer;
    }
    void follow(app, answer.job);
    return null;
  });
}

async function follow(app: App, id: string): Promise<void> {
  const { store, api } = app;
  const job = await ask(app, "job", async (signal) => {
    for (let silent = 0; ;) {
      const job = await api.job(id).catch((error: unknown) => {
        const lost = error instanceof ApiError && [0, 429, 503].includes(error.status);
        if (lost && ++silent < SILENT) return null; // the job goes on all the same
        throw error;
      });
      if (!job) {
        await new Promise((done) => setTimeout(done, POLL));
        if (signal.aborted) return null;
        continue;
      }
      silent = 0;
      if (job.status === "failed") throw new ApiError(500, job.message);
      if (job.status === "done") return job;
      if (!signal.aborted) store.set({ job: { is: "done", value: job } });
      await new Promise((done) => setTimeout(done, POLL));
      if (signal.aborted) return null;
    }
  });
  if (job?.status === "done")
    await ask(app, "classified", async () => readResult(await api.jobResult(job.id)));
}

export async function cancel(app: App, job: Job): Promise<void> {
  stop("job");
  app.store.set({ job: { is: "idle" } });
  await app.api.cancel(job.id).catch((error: unknown) => say(told(error)));
}

async function readResult(file: ArrayBuffer): Promise<Classification> {
  const { readClassification } = await import("./results.ts");
  return readClassification(file, DRAWN);
}

export async function suggest(app: App): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  if (!now.collection) return;
  const question = { ...taught(now), ...inBox(filterOf(now), now.bounds) };
  const next = await ask(app, "suggestions", (signal) => {
    return api.suggest(now.collection!, question, SUGGESTIONS, signal);
  });
  if (next)
    await resolve(
      app,
      next.map(({ id }) => id),
    );
}

export async function change(app: App): Promise<void> {
  const { store, api } = app;
  const now = store.now;
  if (!now.collection || !now.before || !now.after) return;
  const { within } = filterOf(now);
  const body = { a: wholeDay(now.before), b: wholeDay(now.after), k: PAIRS, ...(within ? { within } : {}) };
  const pairs = await ask(app, "pairs", (signal) => api.change(now.collection!, body, signal));
  if (pairs)
    await resolve(
      app,
      pairs.map(({ id_a }) => id_a),
    );
}

function wholeDay(day: string): string {
  return `${day}/${day}`;
}

export async function runSql(app: App): Promise<void> {
  const { store, api } = app;
  const { collection: c, sql } = store.now;
  if (!c || !sql.trim()) return;
  const table = await ask(app, "table", (signal) => api.sql(c, sql, signal));
  const box = table && boxAround(placesOf(rowFeatures(table)));
  if (box && store.now.bounds && !overlap(box, store.now.bounds)) app.map.fit(box);
}

/** One line that fades, read out by screen readers too. */
export function say(message: string): void {
  document.dispatchEvent(new CustomEvent("say", { detail: message }));
}

function withId(chip: Chip): Chip {
  return { ...chip, properties: { ...chip.properties, id: String(chip.id ?? chip.properties.id) } };
}

function withIds(hits: Hits): Hits {
  return { ...hits, features: hits.features.map(withId) };
}
