// Checks data with a validator after https://standardschema.dev. Loaded when a key has one.

import { RealityError } from "../core/errors.ts";
import type { StandardSchema } from "./types.ts";

/**
 * What the validator makes of the data of a key.
 *
 * @throws RealityError `invalid_data`: it has issues; the text says the first one.
 */
export async function validated(
  key: string,
  data: unknown,
  schema: StandardSchema,
): Promise<unknown> {
  const result = await schema["~standard"].validate(data);
  if (!result.issues) return result.value;
  const [issue] = result.issues;
  const names =
    issue?.path?.map((each) => String(typeof each === "object" ? each.key : each)) ?? [];
  const place = names.length > 0 ? ` at ${names.join(".")}` : "";
  const text = `the data of "${key}" is not what its schema asks for${place}: ${issue?.message}`;
  throw new RealityError("invalid_data", text);
}
