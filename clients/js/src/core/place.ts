// Where the embedded server that a process shares is found, by whoever makes it and by clients that do not import it.

/** The member of the global object that holds it. */
export const SHARED = Symbol.for("reality-sync.embedded");

/** The global object. Another copy of this package may have put a server there. */
export const place = globalThis as { [SHARED]?: unknown };
