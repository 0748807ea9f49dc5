// What a client must know of the page or application it runs in: whether anybody looks at it, and when
// the network comes back.

/** What can happen around a client. */
export type Signal = "visible" | "hidden" | "focus" | "online";

/** The surroundings of one client. */
export interface Environment {
  isVisible(): boolean;
  /** Tell of every signal until the returned function is called. */
  listen(tell: (signal: Signal) => void): () => void;
}

/** A page; where there is none (Node, workers), a place that is always visible. */
export const pageEnvironment: Environment = {
  isVisible: () => globalThis.document?.visibilityState !== "hidden",
  listen(tell) {
    const ending = new AbortController();
    const on = (target: EventTarget | undefined, name: string, listener: () => void) =>
      target?.addEventListener?.(name, listener, { signal: ending.signal });
    const seen = () => tell(pageEnvironment.isVisible() ? "visible" : "hidden");
    const [page, window]: (EventTarget | undefined)[] = [globalThis.document, globalThis];
    on(page, "visibilitychange", seen);
    on(page, "resume", seen); // a frozen page goes on
    on(window, "focus", () => tell("focus"));
    on(window, "online", () => tell("online"));
    return () => ending.abort();
  },
};

/** React Native's `AppState`. */
export interface AppStateLike {
  readonly currentState: string | null;
  addEventListener(type: "change", listener: (state: string) => void): { remove(): void };
}

/** A React Native application: `createReality({ environment: appEnvironment(AppState) })`. */
export function appEnvironment(appState: AppStateLike): Environment {
  const isActive = (state: string | null) => state !== "background" && state !== "inactive";
  return {
    isVisible: () => isActive(appState.currentState),
    listen(tell) {
      const changed = (state: string) => tell(isActive(state) ? "visible" : "hidden");
      const subscription = appState.addEventListener("change", changed);
      return () => subscription.remove();
    },
  };
}
