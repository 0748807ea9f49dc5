// useMutation and its variant: changing data through the application's own API.

import * as React from "react";
import type { RealityClient } from "../client/client.ts";
import { asError } from "../core/errors.ts";
import { useLatest, useRealityClient } from "./provider.ts";
import type { MutationResult, UseInvalidationOptions, UseMutationOptions } from "./types.ts";

type Mutator<Result, Input> = (input: Input) => Result | PromiseLike<Result>;

/**
 * A mutation of a key: shown at once if `optimisticUpdate` says how, taken back if it fails, and fetched
 * when it is done.
 *
 * Without annotations the data in `optimisticUpdate` is of any type, because the key does not tell it.
 *
 * @param mutator calls the application's own API.
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useMutation<
  Result = unknown,
  Input = void,
  // biome-ignore lint/suspicious/noExplicitAny: what a key's data is cannot be told from here
  Data = any,
>(
  key: string,
  mutator: Mutator<Result, Input>,
  options: UseMutationOptions<Result, Input, Data> = {},
): MutationResult<Result, Input> {
  return useCalls((client, input) => client.mutate(key, input, mutator, options), options);
}

/**
 * A mutation that is about several keys, or about keys that no component of this page shows.
 *
 * @param keys keys and patterns to fetch anew when it is done.
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useMutationWithInvalidation<Result = unknown, Input = void>(
  mutator: Mutator<Result, Input>,
  keys: string | readonly string[],
  options: UseInvalidationOptions<Result, Input> = {},
): MutationResult<Result, Input> {
  // Of a key that nobody uses: there may be none among `keys`.
  return useMutation("none", mutator, { ...options, invalidateKeys: [keys].flat() as string[] });
}

const NONE = { data: undefined, error: null, isLoading: false };

interface Call<Result> {
  readonly data: Result | undefined;
  readonly error: Error | null;
  readonly isLoading: boolean;
}

/** A function, and how its last call goes. */
export function useCalls<Result, Input>(
  call: (client: RealityClient, input: Input) => Promise<Result>,
  options?: UseInvalidationOptions<Result, Input>,
): MutationResult<Result, Input> {
  const client = useRealityClient();
  const [state, setState] = React.useState<Call<Result>>(NONE);
  const latest = useLatest({ client, call, options });
  const [functions] = React.useState(() => {
    let last: Promise<Result> | undefined;
    return {
      mutate: (input: Input) => {
        const promise = latest.current.call(latest.current.client, input);
        const end = (data?: Result, error: Error | null = null) => {
          const { options } = latest.current;
          if (last === promise) setState({ data, error, isLoading: false });
          if (error) options?.onError?.(error, input);
          else options?.onSuccess?.(data as Result, input);
          options?.onSettled?.(data, error, input);
        };
        last = promise;
        setState({ ...NONE, isLoading: true });
        // What a callback throws is reported as unhandled; what the mutator throws is in `error`.
        promise.then(end, (thrown) => end(undefined, asError(thrown)));
        return promise;
      },
      reset: () => {
        last = undefined;
        setState(NONE);
      },
    };
  });
  return { ...state, ...functions };
}
