// Order of the states of one request. Pure.

/** Whether revision `a` comes after `b`. They are 64-bit integers. */
export function isNewer(a: string, b: string): boolean {
  try {
    return BigInt(a) > BigInt(b);
  } catch {
    return a !== b;
  }
}
