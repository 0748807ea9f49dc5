// Whether data that was fetched again is what it was before.

type Members = Readonly<Record<string, unknown>>;

/**
 * Whether new JSON-like data may be dropped for the equal old one, so that nobody need re-render. What is
 * neither a primitive, an array nor a plain object is equal to itself only.
 */
export function isSame(one: unknown, other: unknown): boolean {
  return (
    Object.is(one, other) || (areAlike(one, other) && haveSame(one as Members, other as Members))
  );
}

function haveSame(one: Members, other: Members): boolean {
  const names = Object.keys(one);
  const isIn = (name: string) => Object.hasOwn(other, name) && isSame(one[name], other[name]);
  return names.length === Object.keys(other).length && names.every(isIn);
}

/** Whether both are arrays, or both plain objects. */
function areAlike(one: unknown, other: unknown): boolean {
  if (typeof one !== "object" || !one || typeof other !== "object" || !other) return false;
  const kind = Object.getPrototypeOf(one);
  const isPlain = kind === Array.prototype || kind === Object.prototype;
  return isPlain && kind === Object.getPrototypeOf(other);
}
