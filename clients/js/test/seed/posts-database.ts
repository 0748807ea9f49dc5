// What the guide's Pattern 3 has from its application: a table, a database, and a redirect.

interface Post {
  readonly title: unknown;
}

/** The table, which here is its rows. */
export const posts: Post[] = [];

/** Reads and writes that take a moment, as those of a database. */
export const db = {
  query: { posts: { findMany: async () => [...posts] } },
  insert: (table: Post[]) => ({
    values: async (row: Post) => {
      table.push(row);
    },
  }),
};

export function redirect(path: string): Response {
  return new Response(null, { status: 302, headers: { location: path } });
}
