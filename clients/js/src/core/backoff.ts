// How long to wait after a failure: exponential, capped, with full jitter. A uniform draw between
// nothing and the cap of the attempt spreads a crowd of clients better than other jitter does:
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

/**
 * The delay before retry number `attempt` (0 is the first), in the unit of `base` and `cap`.
 *
 * @param random drawn uniformly from [0, 1).
 */
export function fullJitter(attempt: number, base: number, cap: number, random: number): number {
  return random * ceiling(attempt, base, cap);
}

/** The longest delay that `fullJitter` may give for this attempt. */
export function ceiling(attempt: number, base: number, cap: number): number {
  return Math.min(cap, base * 2 ** attempt);
}
