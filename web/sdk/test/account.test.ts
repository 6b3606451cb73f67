import { expect, test } from "vitest";
import { memoryStore } from "../src/account.js";
import { GameServer } from "../src/gameserver.js";
import { ApiError } from "../src/http.js";
import { MatchmakingError, type TicketStatus } from "../src/ticket.js";

interface Call {
  path: string;
  method: string;
  body: Record<string, unknown>;
  bearer: string | undefined;
}

/** A server that answers what `handle` says. */
function server(handle: (call: Call) => [number, unknown] | Promise<[number, unknown]>) {
  const calls: Call[] = [];
  const fetcher = async (url: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    const call: Call = {
      path: url.replace("http://test", ""),
      method: init.method ?? "GET",
      body: init.body === undefined ? {} : JSON.parse(String(init.body)),
      bearer: headers.authorization?.replace("Bearer ", ""),
    };
    calls.push(call);
    const [status, body] = await handle(call);
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };
  return { calls, fetcher };
}

const tokens = (n: number, expiresIn = 900) => ({
  player_id: "p",
  username: "Ann",
  access_token: `a${n}`,
  refresh_token: `r${n}`,
  expires_in: expiresIn,
});

test("many requests with an expired token cost one refresh", async () => {
  let issued = 1;
  const { calls, fetcher } = server(({ path, bearer, body }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    if (path === "/auth/refresh") {
      expect(body.refresh_token).toBe(`r${issued}`);
      issued += 1;
      return [200, tokens(issued)];
    }
    return bearer === "a2" ? [200, { url: "u", token: "t" }] : [401, { title: "Expired" }];
  });
  const client = new GameServer({ url: "http://test/", fetch: fetcher, storage: memoryStore() });
  await client.guest("Ann");
  await Promise.all(Array.from({ length: 5 }, (_, i) => client.roomToken(`room-${i}`)));
  expect(calls.filter((c) => c.path === "/auth/refresh")).toHaveLength(1);
  expect(calls.filter((c) => c.bearer === "a2")).toHaveLength(5);
});

test("a token is refreshed shortly before its end, before it is used", async () => {
  let now = 0;
  const { calls, fetcher } = server(({ path }) =>
    path.startsWith("/auth/t") ? [200, {}] : [200, tokens(path === "/auth/guest" ? 1 : 2, 60)],
  );
  const client = new GameServer({
    url: "http://test",
    fetch: fetcher,
    storage: memoryStore(),
    now: () => now,
  });
  await client.guest();
  await client.roomToken("r");
  now = 31_000;
  await client.roomToken("r");
  expect(calls.map((c) => `${c.path.split("?")[0]} ${c.bearer ?? ""}`.trim())).toEqual([
    "/auth/guest",
    "/auth/token a1",
    "/auth/refresh",
    "/auth/token a2",
  ]);
});

test("a refresh token that is refused signs out; a server that is away does not", async () => {
  const store = memoryStore();
  let refresh: [number, unknown] = [503, { title: "Busy" }];
  const { fetcher } = server(({ path }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    return path === "/auth/refresh" ? refresh : [401, { title: "Expired" }];
  });
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: store });
  await client.guest();
  await expect(client.roomToken("r")).rejects.toMatchObject({ status: 503 });
  expect(client.account?.playerId).toBe("p");
  refresh = [401, { title: "Unknown refresh token" }];
  await expect(client.roomToken("r")).rejects.toMatchObject({ status: 401 });
  expect(client.account).toBeUndefined();
});

test("the session survives a reload of the tab", async () => {
  const storage = memoryStore();
  const { fetcher } = server(() => [201, tokens(1)]);
  await new GameServer({ url: "http://test", fetch: fetcher, storage }).guest("Ann");
  const again = new GameServer({ url: "http://test", fetch: fetcher, storage });
  expect(again.account).toEqual({ playerId: "p", username: "Ann" });
  expect(new GameServer({ url: "http://other", fetch: fetcher, storage }).account).toBeUndefined();
});

test("a guest registers with its own token, another account does not take it along", async () => {
  const { calls, fetcher } = server(() => [201, tokens(1)]);
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  await client.register("ann", "secret-password");
  await client.login("bob", "secret-password");
  expect(calls.map((c) => c.bearer)).toEqual([undefined, "a1", undefined]);
});

test("a problem document becomes a typed error", async () => {
  const { fetcher } = server(() => [
    422,
    {
      type: "about:blank",
      title: "Refused",
      status: 422,
      detail: "the password is too short",
      errors: [{ field: "password", message: "at least 8" }, "nonsense"],
    },
  ]);
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  const error = await client.register("ann", "x").catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 422,
    title: "Refused",
    detail: "the password is too short",
    errors: [{ field: "password", message: "at least 8" }],
  });
  const down = new GameServer({
    url: "http://test",
    fetch: () => Promise.reject(new TypeError("refused")),
    storage: memoryStore(),
  });
  await expect(down.games()).rejects.toMatchObject({ name: "ApiError", status: 0 });
});

test("a ticket is polled until the match, over a passing failure", async () => {
  const answers: [number, unknown][] = [
    [200, { status: "queued", waited_ms: 1 }],
    [503, { title: "Restarting" }],
    [200, { status: "accepting", waited_ms: 2 }],
    [200, { status: "placing", waited_ms: 3 }],
    [200, { status: "matched", waited_ms: 4, match: { match_id: "m" } }],
  ];
  const { calls, fetcher } = server(({ path, method }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    if (path === "/match/queue" && method === "POST") {
      return [202, { ticket_id: "t 1" }];
    }
    return path === "/match/accept" ? [204, null] : (answers.shift() ?? [500, {}]);
  });
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  const ticket = await client.queue({ game: "arena", code: "ABCD" });
  const seen: TicketStatus["status"][] = [];
  const match = await ticket.waitForMatch({ onStatus: (s) => seen.push(s.status) });
  expect(match.match_id).toBe("m");
  expect(seen).toEqual(["queued", "accepting", "placing", "matched"]);
  expect(calls.find((c) => c.path === "/match/accept")?.body).toEqual({
    ticket_id: "t 1",
    accept: true,
  });
  expect(calls.filter((c) => c.path === "/match/status?ticket_id=t%201&wait=20")).toHaveLength(5);
});

test("waiting stops on abort and on a ticket that timed out", async () => {
  const { fetcher } = server(({ path }) =>
    path.startsWith("/match/status")
      ? [200, { status: "timed_out", waited_ms: 1, reason: "nobody came" }]
      : [202, { ...tokens(1), ticket_id: "t" }],
  );
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  const ticket = await client.queue({ game: "arena" });
  await expect(ticket.waitForMatch()).rejects.toThrow(MatchmakingError);
  await expect(ticket.waitForMatch()).rejects.toThrow("nobody came");
  await expect(ticket.waitForMatch({ signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: "AbortError",
  });
});

test("`replace` gives an earlier ticket up", async () => {
  const done: string[] = [];
  const { fetcher } = server(({ path, method }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    done.push(`${method} ${path}`);
    if (method === "DELETE") {
      return [204, null];
    }
    return done.length === 1
      ? [409, { title: "Already queued", ticket_id: "old" }]
      : [202, { ticket_id: "new" }];
  });
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  const ticket = await client.queue({ game: "arena", replace: true });
  expect(ticket.id).toBe("new");
  expect(done).toEqual(["POST /match/queue", "DELETE /match/queue/old", "POST /match/queue"]);
});
