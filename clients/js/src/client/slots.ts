// So many tasks at the same time, and the others in the order in which they came.

/** Runs a task that never fails, now or when it is its turn. */
export type Slots = (task: () => Promise<void>) => void;

/** Room for so many tasks. */
export function newSlots(count: number): Slots {
  let free = count;
  const waiting: (() => Promise<void>)[] = [];
  const run: Slots = (task) => {
    free -= 1;
    void task().finally(() => {
      free += 1;
      const next = waiting.shift();
      if (next) run(next);
    });
  };
  return (task) => (free > 0 ? run(task) : waiting.push(task));
}
