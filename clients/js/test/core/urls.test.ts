// The URLs of servers, as people write them.
import { afterEach, describe, expect, it, vi } from "vitest";
import { baseUrl } from "../../src/core/urls.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the base URL", () => {
  it.each([
    ["http://localhost:3456", "http://localhost:3456/reality"],
    ["http://localhost:3456/", "http://localhost:3456/reality"],
    ["https://host/live", "https://host/live"],
    ["https://host/live/", "https://host/live"],
    ["https://host//", "https://host/reality"],
    ["http://[::1]:8080", "http://[::1]:8080/reality"],
    ["http://host/a/b/", "http://host/a/b"],
  ])("of %s is %s", (text, url) => {
    expect(baseUrl(text)).toBe(url);
  });

  it.each([
    "",
    "localhost",
    "localhost:3456",
    "ftp://host",
    "ws://host",
    "http://",
    "http://a b",
    "http://host?x=1",
    "http://host#x",
    "http://host:0",
    "http://host:99999",
    "javascript:alert(1)",
  ])("is refused where it is %j, and the error shows it", (text) => {
    expect(() => baseUrl(text)).toThrow(TypeError);
    expect(() => baseUrl(text)).toThrow(JSON.stringify(text));
  });

  it.each([
    ["/reality", "https://page.example/reality"],
    ["/live/", "https://page.example/live"],
    ["/", "https://page.example/reality"],
    ["//other.example", "https://other.example/reality"],
  ])("of %s is on the page's host", (text, url) => {
    vi.stubGlobal("location", new URL("https://page.example/a/b"));
    expect(baseUrl(text)).toBe(url);
  });
});
