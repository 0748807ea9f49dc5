// The TypeScript server of npm behind Node's own http server: `node peer.cjs PORT`, with NODE_PATH
// naming the folder that it is installed in.
//
// Its `POST /invalidate` only tells its peers, so that an application has to call `invalidateMany`;
// the bench touches keys over HTTP, and this program does what such an application would do.

const http = require("node:http");
const { createRealityServer } = require("@rootlodge/reality-server");

const reality = createRealityServer({ serverId: "node" });
const handle = reality.getFetchHandler("/reality");

async function answerOf(request, body) {
  if (request.url === "/reality/invalidate") {
    await reality.invalidateMany(JSON.parse(body).keys);
    return new Response("{}");
  }
  const { method, headers, url } = request;
  const hasBody = method !== "GET" && method !== "HEAD";
  return handle(
    new Request("http://127.0.0.1" + url, { method, headers, body: hasBody ? body : undefined }),
  );
}

http
  .createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", async () => {
      const answer = await answerOf(request, Buffer.concat(chunks));
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
