/** Begin: state from the URL, the page, the map, and what follows from what. */

import "./styles/index.css";
import { chipAt, classifyAgain, heatMap, label, loadCollections, openCollection, search } from "./actions.ts";
import { Api } from "./api.ts";
import type { App } from "./app.ts";
import { h } from "./dom.ts";
import { listen } from "./keys.ts";
import { MapView, type Click } from "./map/view.ts";
import { shell } from "./shell.ts";
import { ANSWERED, collectionOf, type State } from "./state.ts";
import { Store } from "./store.ts";
import { fromHash, toHash } from "./url.ts";

const SOON = 60;
const LATER = 350;

const given = fromHash(location.hash);
let looked: string | null = null;
let clicks = 0;
const store = new Store<State>({ ...given, ...ANSWERED });
const api = new Api();
store.watch(["theme"], ({ theme }) => (document.documentElement.dataset["theme"] = theme));
const canvas = h("div", { class: "map", role: "application", "aria-label": "Map" });
const app: App = { store, api, map: new MapView(canvas, store, api, (click) => void clicked(click)) };
document.querySelector("#app")!.append(...shell(app, canvas));
listen(app);
follow();
addEventListener("hashchange", () => location.reload()); // a link that was pasted; the page's own writing fires none
void loadCollections(app);
Object.assign(window, { embedstore: app });

/** What is asked again when something changes. */
function follow(): void {
  store.watch(["collection"], () => void openCollection(app));
  store.watch(["collection", "collections"], lookAtAll);
  store.watch(
    ["collection", "positives", "negatives", "upload", "k", "spread", "area", "from", "to"],
    later(SOON, () => void search(app)),
  );
  store.watch(
    ["collection", "tab", "layers", "positives", "negatives", "area", "from", "to", "bounds"],
    later(LATER, () => void heatMap(app)),
  );
  store.watch(
    ["labels", "method"],
    later(SOON, () => {
      const { classified, labels, tab } = store.now;
      const shown = tab === "label" && classified.is === "done" && new Set(Object.values(labels)).size > 1;
      if (shown) void classifyAgain(app);
    }),
  );
  store.watch(
    Object.keys(fromHash("")) as (keyof State)[],
    later(LATER, () => writeLink(store.now)),
  );
}

function writeLink(state: State): void {
  // before there is a store nobody has chosen what to look at
  if (collectionOf(state)) history.replaceState(null, "", `#${toHash(state)}`);
}

/** A store is shown whole when it is opened, but not where the link says what to look at. */
function lookAtAll(state: State): void {
  const chosen = collectionOf(state);
  if (!chosen || chosen.id === looked) return;
  const box = chosen.extent.spatial.bbox[0];
  if (box && !(looked === null && given.view)) app.map.fit(box, 13);
  looked = chosen.id;
}

function later(wait: number, run: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, wait);
  };
}

/** A click asks for the places like this one, or labels it. */
async function clicked({ place, add, against }: Click): Promise<void> {
  const { tab, collection } = store.now;
  if (tab !== "find" && tab !== "label") return;
  const mine = ++clicks;
  const chip = await chipAt(app, place);
  // labels are each of their own; of examples the place clicked last counts, whichever answer comes last
  const late = store.now.collection !== collection || (tab === "find" && mine !== clicks && !add && !against);
  if (!chip || late) return;
  const { id } = chip.properties;
  const { positives, negatives, classes, activeClass } = store.now;
  if (tab === "label") return label(app, id, classes[activeClass]!);
  const others = (ids: readonly string[]) => ids.filter((other) => other !== id);
  if (against) store.set({ negatives: [...others(negatives), id], positives: others(positives) });
  else if (add) store.set({ positives: [...others(positives), id], negatives: others(negatives) });
  else store.set({ positives: [id], negatives: [], upload: null });
}
