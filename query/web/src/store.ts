/** A value that tells those who watch parts of it when these change. */

type Watcher<S> = { keys: readonly (keyof S)[]; tell: (state: Readonly<S>) => void };

export class Store<S extends object> {
  #state: S;
  readonly #watchers: Watcher<S>[] = [];

  constructor(state: S) {
    this.#state = state;
  }

  get now(): Readonly<S> {
    return this.#state;
  }

  /** Replace parts; watchers of those that differ are told once, after all of them are in place. */
  set(patch: Partial<S>): void {
    const changed = (Object.keys(patch) as (keyof S)[]).filter((key) => patch[key] !== this.#state[key]);
    if (!changed.length) return;
    this.#state = { ...this.#state, ...patch };
    for (const { keys, tell } of [...this.#watchers]) {
      if (keys.some((key) => changed.includes(key))) tell(this.#state);
    }
  }

  /** Call `tell` now and whenever one of `keys` changes. */
  watch(keys: readonly (keyof S)[], tell: (state: Readonly<S>) => void): void {
    this.#watchers.push({ keys, tell });
    tell(this.#state);
  }
}
