// RealityProvider, and what it gives to the hooks below it.

import * as React from "react";
import { RealityClient } from "../client/client.ts";
import { hydrate } from "../client/hydration.ts";
import type { RealityOptions, RealityState } from "../client/types.ts";
import { RealityError } from "../core/errors.ts";

/** The options of a client, or a client. */
export interface RealityProviderProps extends RealityOptions {
  /** The client to use; whoever made it destroys it. Without it the provider makes one of its own. */
  readonly client?: RealityClient | undefined;
  /** What a server rendered the page with: it is shown at once, and fetched only when it changes. */
  readonly initialState?: RealityState | readonly RealityState[] | undefined;
  readonly children?: React.ReactNode;
}

interface Scope {
  readonly client: RealityClient;
  /** Knows what a server rendered the page with, and nothing later: hydration has to begin with the same. */
  readonly rendered: RealityClient;
  /** By key what components throw instead of data: a promise of the first fetch, or its error. */
  readonly arrivals: Map<string, unknown>;
  /** Runs while the provider is unmounted, as it seems. */
  ending?: ReturnType<typeof setTimeout>;
}

const ScopeContext = React.createContext<Scope | null>(null);

/**
 * Gives all components below it one client: `client`, or one of its own, which lives as long as the
 * provider.
 *
 * What is passed when the provider is mounted counts; later changes do nothing. For another client give
 * the provider another `key`. Boundaries for `useRealitySuspense` belong inside of the provider: React
 * forgets what it has not mounted yet.
 */
export function RealityProvider(props: RealityProviderProps): React.ReactNode {
  const { children, client, initialState = [], ...options } = props;
  const open = (): Scope => {
    const used = client ?? new RealityClient(options);
    const rendered = new RealityClient({ servers: [] });
    for (const state of [initialState].flat() as RealityState[]) {
      hydrate(used, state);
      hydrate(rendered, state);
    }
    return { client: used, rendered, arrivals: new Map() };
  };
  const [scope, setScope] = React.useState(open);
  // biome-ignore lint/correctness/useExhaustiveDependencies: later props change nothing
  React.useEffect(() => {
    // React cleans up what it goes on to use: in StrictMode it sets it up again at once; where a part of
    // the page is hidden it does so later, and that part goes on with another client.
    clearTimeout(scope.ending);
    return () => {
      if (client) return;
      scope.ending = setTimeout(() => {
        scope.client.destroy();
        setScope(open);
      });
    };
  }, [scope]);
  return React.createElement(ScopeContext.Provider, { value: scope }, children);
}

/** @throws RealityError `no_provider`. */
export function useScope(): Scope {
  const scope = React.useContext(ScopeContext);
  if (scope) return scope;
  throw new RealityError("no_provider", "put <RealityProvider> around it");
}

/**
 * The client of the nearest provider.
 *
 * @throws RealityError `no_provider`: there is none.
 */
export function useRealityClient(): RealityClient {
  return useScope().client;
}

/** What the last render that was shown has given, for what happens between renders. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = React.useRef(value);
  React.useEffect(() => {
    latest.current = value;
  });
  return latest;
}

/** The promise as it is; if nobody looks at it, a failure is not reported as unhandled. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
