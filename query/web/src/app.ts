/** What every part of the page is given. */

import type { Api } from "./api.ts";
import type { MapView } from "./map/view.ts";
import type { State } from "./state.ts";
import type { Store } from "./store.ts";

export interface App {
  store: Store<State>;
  api: Api;
  map: MapView;
}
