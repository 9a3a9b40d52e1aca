/** Search without a server: every exported vector, scored in the browser. */

export type Hit = { row: number; score: number };

/** What chips for, less half of what chips against have in common, at unit length; null if nothing is left. */
export function question(
  vectors: Float32Array,
  dimension: number,
  likes: readonly number[],
  unlikes: readonly number[],
): Float32Array | null {
  const query = new Float32Array(dimension);
  const add = (rows: readonly number[], weight: number) => {
    for (const row of rows)
      for (let i = 0; i < dimension; i += 1)
        query[i]! += (weight / rows.length) * vectors[row * dimension + i]!;
  };
  add(likes, 1);
  add(unlikes, -0.5);
  const length = Math.hypot(...query);
  return length > 1e-6 ? query.map((value) => value / length) : null;
}

/** The cosine of each vector to a query; both are of unit length. */
export function scores(vectors: Float32Array, dimension: number, query: Float32Array): Float32Array {
  const out = new Float32Array(vectors.length / dimension);
  for (let row = 0; row < out.length; row += 1) {
    let sum = 0;
    for (let i = 0, at = row * dimension; i < dimension; i += 1, at += 1) sum += query[i]! * vectors[at]!;
    out[row] = sum;
  }
  return out;
}

/** The k best, best first, without some. */
export function best(of: Float32Array, k: number, without: ReadonlySet<number> = new Set()): Hit[] {
  return Array.from(of, (score, row) => ({ row, score }))
    .filter(({ row }) => !without.has(row))
    .sort((a, b) => b.score - a.score || a.row - b.row)
    .slice(0, k);
}
