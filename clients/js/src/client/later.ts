// The second half of a client: what the first answer does not need. It is loaded with that answer, as one chunk,
// so that it is there when the network is not. Without it (a file that is gone, an old browser) keys stay fresh,
// asked for once a second from one server, and mutations are not shown before they are done.

export { Attention } from "./attention.ts";
export { Failover } from "./failover.ts";
export { mutated } from "./mutating.ts";
export { Pace } from "./pace.ts";
export { share } from "./share.ts";
export { syncKeys } from "./syncing.ts";
