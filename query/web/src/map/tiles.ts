/** Tiles of the service itself: asked with the key, and again while it is busy. */

import { addProtocol } from "maplibre-gl";
import { TILES, type Api } from "../api.ts";

/** Let every map fetch them; those of tile servers elsewhere are MapLibre's own business. */
export function serveTiles(api: Api): void {
  addProtocol(TILES, async ({ url }, { signal }) => ({
    data: await api.tile(url.slice(`${TILES}://`.length), signal),
  }));
}
