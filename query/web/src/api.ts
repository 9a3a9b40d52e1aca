/** The service, typed. Every error is an ApiError whose message can be shown as it is. */

import type {
  Box,
  Chip,
  Classification,
  Collection,
  Evaluation,
  Filter,
  HeatMap,
  Hits,
  Job,
  Labels,
  Matches,
  Method,
  Pair,
  Position,
  Question,
  Raster,
  Suggestion,
  Table,
} from "./types.ts";

const KEY = "embedstore-key";

/** Scheme of the service's own tiles, for which the map asks here. */
export const TILES = "service";
/** How often a busy service is asked again, and seconds for which it is waited at most. */
const TRIES = 5;
const LONGEST = 10;

export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface LabelsQuestion extends Filter {
  labels: Labels;
  method: Method;
}

export class Api {
  /** Kept for this browser tab only, and never in the URL. */
  get key(): string {
    return sessionStorage.getItem(KEY) ?? "";
  }
  set key(value: string) {
    sessionStorage.setItem(KEY, value);
  }

  get headers(): Record<string, string> {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  async collections(): Promise<Collection[]> {
    return (await this.#get<{ collections: Collection[] }>("collections")).collections;
  }

  async rasters(c: string): Promise<Raster[]> {
    return (await this.#get<{ rasters: Raster[] }>(`${at(c)}/rasters`)).rasters;
  }

  item(c: string, id: string): Promise<Chip> {
    return this.#get(`${at(c)}/items/${id}`);
  }

  nearest(c: string, [lon, lat]: Position): Promise<Chip> {
    return this.#get(`${at(c)}/nearest?lon=${lon}&lat=${lat}`);
  }

  search(c: string, question: Question, upload: File | null, signal: AbortSignal): Promise<Hits> {
    const accept = { Accept: "application/geo+json" };
    if (!upload) return this.#post(`${at(c)}/search`, question, signal, accept);
    const form = new FormData();
    form.set("file", upload);
    form.set("query", JSON.stringify(question));
    return this.#ask(`${at(c)}/search`, { method: "POST", body: form, signal, headers: accept });
  }

  explain(
    c: string,
    question: { ids: string[]; positives: string[]; negatives: string[] },
    signal: AbortSignal,
  ): Promise<Matches> {
    return this.#post(`${at(c)}/explain`, question, signal, { Accept: "application/geo+json" });
  }

  heatMap(c: string, question: Omit<Question, "k">, signal: AbortSignal): Promise<HeatMap> {
    return this.#post(`${at(c)}/heatmap`, question, signal);
  }

  /** A job instead of the answer where the area is large. */
  classify(
    c: string,
    question: LabelsQuestion,
    signal: AbortSignal,
  ): Promise<Classification | { job: string }> {
    return this.#post(`${at(c)}/classify`, question, signal);
  }

  /** How good the labels are; asked apart, for labels that are too few to be tested still classify. */
  async evaluate(c: string, { labels, method }: LabelsQuestion, signal: AbortSignal): Promise<Evaluation> {
    const body = { labels, method, ids: Object.keys(labels).slice(0, 1), evaluate: true };
    type Measured = { evaluation: Evaluation | null; notes: string[] };
    const { evaluation, notes } = await this.#post<Measured>(`${at(c)}/classify`, body, signal);
    if (!evaluation) throw new ApiError(400, notes.at(-1) ?? "There is no score.");
    return evaluation;
  }

  async suggest(c: string, question: LabelsQuestion, n: number, signal: AbortSignal): Promise<Suggestion[]> {
    const body = { ...question, n };
    return (await this.#post<{ suggestions: Suggestion[] }>(`${at(c)}/suggest`, body, signal)).suggestions;
  }

  async change(
    c: string,
    body: Filter & { a: string; b: string; k: number },
    signal: AbortSignal,
  ): Promise<Pair[]> {
    return (await this.#post<{ pairs: Pair[] }>(`${at(c)}/change`, body, signal)).pairs;
  }

  sql(c: string, sql: string, signal: AbortSignal): Promise<Table> {
    return this.#post(`${at(c)}/sql`, { sql }, signal);
  }

  job(id: string): Promise<Job> {
    return this.#get(`jobs/${id}`);
  }

  cancel(id: string): Promise<unknown> {
    return this.#ask(`jobs/${id}`, { method: "DELETE" });
  }

  async jobResult(id: string): Promise<ArrayBuffer> {
    return (await this.#fetch(`jobs/${id}/result`, {})).arrayBuffer();
  }

  thumbnail(c: string, id: string): string {
    return `${at(c)}/items/${id}/thumbnail`;
  }

  async image(url: string): Promise<Blob> {
    return (await this.#fetch(url, {})).blob();
  }

  async tile(url: string, signal: AbortSignal): Promise<ArrayBuffer> {
    return (await this.#fetch(url, { signal })).arrayBuffer();
  }

  footprintTiles(c: string): string {
    return tiles(`${at(c)}/footprints/tiles/{z}/{x}/{y}.mvt`);
  }

  rasterTiles(c: string, item: string): string {
    return tiles(`${at(c)}/rasters/${encodeURIComponent(item)}/{z}/{x}/{y}.png`);
  }

  #get<T>(path: string): Promise<T> {
    return this.#ask(path, {});
  }

  #post<T>(
    path: string,
    body: object,
    signal: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<T> {
    const type = { "Content-Type": "application/json" };
    return this.#ask(path, {
      method: "POST",
      body: JSON.stringify(body),
      signal,
      headers: { ...type, ...headers },
    });
  }

  async #ask<T>(path: string, init: RequestInit): Promise<T> {
    const answer = await this.#fetch(path, init);
    try {
      return (answer.status === 204 ? undefined : await answer.json()) as T;
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, "The answer broke off. Ask again.");
    }
  }

  /** Ask, and come again as often as the service says that it is busy. */
  async #fetch(path: string, init: RequestInit): Promise<Response> {
    for (let times = 0; ; times++) {
      const answer = await this.#once(path, init);
      if (answer.ok) return answer;
      const seconds = comeAgain(answer);
      if (seconds === null || times === TRIES) throw new ApiError(answer.status, await problem(answer));
      await pause(1000 * (seconds + Math.random() / 2), init.signal ?? null);
    }
  }

  async #once(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...this.headers, ...(init.headers as Record<string, string> | undefined) };
    try {
      return await fetch(path, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, "The service does not answer. Is it still running?");
    }
  }
}

/** Seconds after which a busy service may be asked again; null if it is not busy, or for long. */
function comeAgain({ status, headers }: Response): number | null {
  const seconds = Number(headers.get("Retry-After") ?? Number.NaN);
  return (status === 429 || status === 503) && seconds <= LONGEST ? seconds : null;
}

function pause(ms: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((done, fail) => {
    const over = setTimeout(done, ms);
    signal?.addEventListener("abort", () => (clearTimeout(over), fail(signal.reason as Error)), {
      once: true,
    });
  });
}

/** The box as a filter, for when no polygon was drawn. */
export function inBox(filter: Filter, bounds: Box | null): Filter {
  return filter.within || !bounds ? filter : { ...filter, bbox: bounds };
}

function at(collection: string): string {
  return `collections/${encodeURIComponent(collection)}`;
}

function tiles(path: string): string {
  // not by URL(): it would escape the braces of {z}/{x}/{y}
  return `${TILES}://${new URL(".", location.href).href}${path}`;
}

/** What a problem document (RFC 9457) says, or the status where there is none. */
async function problem(answer: Response): Promise<string> {
  try {
    const { detail, title } = (await answer.json()) as { detail?: unknown; title?: string };
    if (typeof detail === "string" && detail) return detail;
    if (title) return title;
  } catch {
    // not JSON: the status is all there is
  }
  return `The service answered ${answer.status} ${answer.statusText}.`;
}
