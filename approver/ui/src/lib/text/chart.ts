// Places of the histogram's bars. Pure.

import type { Bucket } from "../api/types";

/** From the bottom of a bar to its top. */
export const KINDS = ["allowed", "released", "held", "denied", "other"] as const;
export type Kind = (typeof KINDS)[number];

export interface Part {
  kind: Kind;
  y: number;
  height: number;
}

export interface Bar {
  x: number;
  width: number;
  total: number;
  parts: Part[];
  bucket: Bucket;
}

export function total(bucket: Bucket): number {
  return KINDS.reduce((sum, kind) => sum + bucket[kind], 0);
}

/** Bars in a picture of this size; the greatest fills its height. */
export function bars(buckets: readonly Bucket[], width: number, height: number): Bar[] {
  const most = Math.max(1, ...buckets.map(total));
  const step = width / Math.max(1, buckets.length);
  return buckets.map((bucket, index) => {
    let y = height;
    const parts = KINDS.filter((kind) => bucket[kind] > 0).map((kind) => {
      // What happened is seen, however much else there was.
      const tall = Math.max(1.5, (bucket[kind] / most) * height);
      y = Math.max(0, y - tall);
      return { kind, y, height: tall };
    });
    return { x: index * step, width: Math.max(1, step - Math.min(2, step / 4)), total: total(bucket), parts, bucket };
  });
}
