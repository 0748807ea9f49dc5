// Where a server is: its base URL.

/**
 * The URL that routes are below: as given, or with `/reality` where it has no path. A URL without a
 * host is one of this page.
 *
 * @throws TypeError it is not the http or https URL of a server.
 */
export function baseUrl(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {
    // said below
  }
  if (!url || !/^https?:/.test(url.href) || url.search || url.hash || url.port === "0") {
    throw new TypeError(`"${text}" is no URL of a server, like http://localhost:3456`);
  }
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "") || "/reality"}`;
}
