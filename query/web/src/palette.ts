/** Colours that mean something: classes, likeness, examples for and against. */

/** Okabe and Ito's eight, told apart by all eyes. */
export const CLASS_COLOURS = [
  "#e69f00",
  "#56b4e9",
  "#009e73",
  "#d55e00",
  "#cc79a7",
  "#0072b2",
  "#f0e442",
  "#8d8d8d",
] as const;

export const HIT = "#ffb703";
export const LIKE = "#12a594";
export const UNLIKE = "#e5484d";
/** Pixels that made a chip a hit. */
export const MATCH = "#2ee6ff";

/** From unlike to like. */
export const HEAT = ["#30206b", "#7a2a8a", "#c7406b", "#f57b41", "#fbd85d"] as const;

export function classColour(index: number): string {
  return CLASS_COLOURS[((index % CLASS_COLOURS.length) + CLASS_COLOURS.length) % CLASS_COLOURS.length]!;
}

/** Lowest and highest of what is to be coloured, without the outermost hundredth on either side. */
export function spreadOf(values: readonly number[]): [number, number] {
  if (!values.length) return [0, 1];
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  const [low, high] = [at(0.01), at(0.99)];
  return high > low ? [low, high] : [high - 1e-6, high]; // one place alone is what is most like
}
