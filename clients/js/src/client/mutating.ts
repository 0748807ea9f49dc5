// Mutations: changing data through the application's own API, and showing the change at once. Loaded with
// the first answer; where that is not possible, mutations work without being shown at once.

import { MutationStack, type Pending } from "../core/mutations.ts";
import type { Resource } from "./resource.ts";
import type { MutateOptions } from "./types.ts";

/** Carry a mutation out; `resource` is the key's, if anybody holds it. */
export async function mutated<T, Input, Result>(
  resource: Resource | undefined,
  input: Input,
  mutator: (input: Input) => Result | PromiseLike<Result>,
  options: MutateOptions<T, Input, Result>,
): Promise<Result> {
  const { optimisticUpdate, applyResult, rollbackOnError = true } = options;
  if (!resource) return mutator(input);
  const update = (data: unknown) =>
    optimisticUpdate ? optimisticUpdate(data as T | undefined, input) : data;
  update(resource.state.data); // what is wrong with it is thrown before anything is done
  const pending: Pending = { update, isSettled: false };
  resource.mutations ??= new MutationStack();
  resource.mutations.push(pending);
  const drop = () => resource.mutations?.remove(pending);
  resource.show();
  let isDone = false;
  try {
    const result = await mutator(input);
    isDone = pending.isSettled = true;
    // Without a fetcher nothing will be fetched: what is shown is the data.
    const apply = applyResult
      ? (data: unknown) => applyResult(data as T | undefined, result)
      : !resource.fetcher && update;
    if (apply) drop();
    if (apply) resource.take(apply(resource.base));
    // A fetch under way began before: what it brings is older than the result.
    if (applyResult && !resource.isFresh) resource.refetch();
    return result;
  } catch (error) {
    pending.isSettled = true; // what is not rolled back shows until the next fetch
    if (rollbackOnError) drop();
    resource.show();
    if (isDone) resource.refetch(); // what `applyResult` could not make of the result
    throw error;
  }
}
