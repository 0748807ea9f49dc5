// The guide's Pattern 3: a route whose action is seen by the pages that its loader rendered.
import { afterAll, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import { sharedEmbeddedServer } from "../../src/embedded/index.ts";
import { createRealityTanStackAdapter } from "../../src/ssr/index.ts";
import { action, loader } from "./posts-route.ts";

afterAll(() => sharedEmbeddedServer().close());

it("renders, and tells the page of an action (I1)", async () => {
  const page = await loader();
  const client = new RealityClient();
  createRealityTanStackAdapter().hydrate(client, page.realityState);
  const fetcher = vi.fn(async () => (await loader()).posts);
  client.subscribe("posts", () => {}, { fetcher, initialData: page.posts });
  await vi.waitFor(() => expect(sharedEmbeddedServer().stats().waiters).toBe(1));
  expect(fetcher).not.toHaveBeenCalled();
  const body = new FormData();
  body.set("title", "First");
  const answer = await action({
    request: new Request("http://site/posts", { method: "POST", body }),
  });
  expect(answer.headers.get("location")).toBe("/posts");
  await vi.waitFor(() => expect(client.getState("posts")?.data).toEqual([{ title: "First" }]));
  expect(fetcher).toHaveBeenCalledOnce();
  client.destroy();
});
