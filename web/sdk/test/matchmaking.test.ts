import { expect, test, vi } from "vitest";
import { memoryStore } from "../src/account.js";
import { GameServer } from "../src/gameserver.js";
import { ApiError } from "../src/http.js";
import type { Party } from "../src/parties.js";
import { MatchmakingError, type TicketStatus } from "../src/ticket.js";
import { type Answer, type Call, server, tokens } from "./api.js";

/** A guest whose ticket stands as `statuses` say, one after the other; the last stays. */
async function guest(
  statuses: readonly (object | Answer)[],
  handle: (call: Call) => Answer | undefined = () => undefined,
) {
  const left = [...statuses];
  const { calls, fetcher } = server((call) => {
    const own = handle(call);
    if (own !== undefined) {
      return own;
    }
    if (call.path === "/auth/guest") {
      return [201, tokens(1)];
    }
    if (call.path === "/match/queue") {
      return [202, { ticket_id: "t 1" }];
    }
    if (call.path.startsWith("/match/status")) {
      const next = (left.length > 1 ? left.shift() : left[0]) ?? {};
      return Array.isArray(next) ? (next as Answer) : [200, { ticket_id: "t 1", ...next }];
    }
    return [204, null];
  });
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  return { calls, client };
}

const MATCHED = { status: "matched", waited_ms: 9, match: { match_id: "m" } };
const accepting = (until: string, more: object = {}) => ({
  status: "accepting",
  waited_ms: 5,
  accept: { until, in_ms: 9000, accepted: 0, players: 2, you: null, ...more },
});

test("what to queue for is told as the API takes it", async () => {
  const { calls, client } = await guest([]);
  await client.queue({
    game: "arena",
    mode: "ranked",
    partyId: "p",
    attributes: { map: ["dust", "ice"], level: 4, language: "en" },
    latencyMs: { eu: 20 },
  });
  expect(calls.at(-1)?.body).toEqual({
    game: "arena",
    mode: "ranked",
    party_id: "p",
    attributes: { map: ["dust", "ice"], level: 4, language: "en" },
    latency_ms: { eu: 20 },
  });
});

test("a ticket is polled until the match, over a passing failure", async () => {
  const { calls, client } = await guest([
    { status: "queued", waited_ms: 1 },
    [503, { title: "Restarting" }],
    accepting("1"),
    { status: "placing", waited_ms: 3 },
    MATCHED,
  ]);
  const ticket = await client.queue({ game: "arena", code: "ABCD" });
  const seen: TicketStatus["status"][] = [];
  const match = await ticket.waitForMatch({ onStatus: (s) => seen.push(s.status) });
  expect(match.match_id).toBe("m");
  expect(seen).toEqual(["queued", "accepting", "placing", "matched"]);
  expect(calls.find((c) => c.path === "/match/accept")?.body).toEqual({
    ticket_id: "t 1",
    accept: true,
  });
});

test("why one waits is told at once, and anew when a limit widens", async () => {
  const why = {
    tolerance: 100,
    next_widening: { in_ms: 2400, tolerance: 200, rule: "skill" },
    players_waiting: 3,
    players_fitting: 0,
    excluded_by: { rule: "skill", players: 3 },
    reason: "Nobody within 100 points waits.",
  };
  const { calls, client } = await guest([
    { status: "queued", waited_ms: 10, ...why },
    { status: "queued", waited_ms: 2500, players_waiting: 3, players_fitting: 1 },
    { status: "placing", waited_ms: 2600 },
    MATCHED,
  ]);
  const ticket = await client.queue({ game: "arena" });
  const seen: TicketStatus[] = [];
  await ticket.waitForMatch({ onStatus: (s) => seen.push(s) });
  expect(seen[0]).toMatchObject(why);
  expect(seen[1].tolerance).toBeUndefined();
  const waits = calls.flatMap((c) => /wait=(\d+)$/.exec(c.path)?.[1] ?? []);
  expect(waits).toEqual(["0", "3", "5", "20"]);
});

test("everybody is asked once for each match, and the waiting goes on meanwhile", async () => {
  const { calls, client } = await guest([
    accepting("1"),
    accepting("1", { accepted: 1 }),
    { status: "queued", waited_ms: 20, returned: true },
    accepting("2"),
    accepting("2", { accepted: 2 }),
    MATCHED,
  ]);
  const ticket = await client.queue({ game: "arena" });
  const asked: (string | undefined)[] = [];
  const over: string[] = [];
  const seen: TicketStatus[] = [];
  await ticket.waitForMatch({
    onStatus: (s) => seen.push(s),
    accept: (status, signal) => {
      const until = status.accept?.until ?? "";
      asked.push(until);
      if (until === "2") {
        return true;
      }
      // Never answers: the match comes to nothing because of somebody else.
      return new Promise(() => signal.addEventListener("abort", () => over.push(until)));
    },
  });
  expect(asked).toEqual(["1", "2"]);
  expect(over).toEqual(["1"]);
  expect(seen[2].returned).toBe(true);
  const answers = calls.filter((c) => c.path === "/match/accept").map((c) => c.body.accept);
  expect(answers).toEqual([true]);
});

test("who answered before a reload is not asked again", async () => {
  const { calls, client } = await guest([accepting("1", { you: true }), MATCHED]);
  await client.ticket("t 1", "arena").waitForMatch({
    accept: () => {
      throw new Error("asked again");
    },
  });
  expect(calls.filter((c) => c.path === "/match/accept")).toHaveLength(0);
});

test("a declined match ends the ticket; an answer too late is no error", async () => {
  const declined = { status: "cancelled", waited_ms: 6, reason: "you declined the match" };
  const { client } = await guest([accepting("1"), declined]);
  const ticket = await client.queue({ game: "arena" });
  await expect(ticket.waitForMatch({ accept: () => false })).rejects.toMatchObject({
    name: "MatchmakingError",
    status: "cancelled",
    message: "you declined the match",
  });
  const late = await guest([], ({ path }) =>
    path === "/match/accept"
      ? [409, { type: "urn:gameserver:problem:not-accepting", title: "Conflict" }]
      : undefined,
  );
  await late.client.ticket("t", "arena").accept(false);
});

test("what asking or answering fails with ends the waiting", async () => {
  const { client } = await guest([accepting("1")]);
  const ticket = await client.queue({ game: "arena" });
  const broken = ticket.waitForMatch({
    accept: () => Promise.reject(new Error("the dialog broke")),
  });
  await expect(broken).rejects.toThrow("the dialog broke");
  const refused = await guest([accepting("1")], ({ path }) =>
    path === "/match/accept" ? [403, { title: "Banned" }] : undefined,
  );
  const other = await refused.client.queue({ game: "arena" });
  await expect(other.waitForMatch()).rejects.toMatchObject({ status: 403 });
});

test("waiting stops on abort and on a ticket that timed out", async () => {
  const { client } = await guest([{ status: "timed_out", waited_ms: 1, reason: "nobody came" }]);
  const ticket = await client.queue({ game: "arena" });
  await expect(ticket.waitForMatch()).rejects.toThrow(MatchmakingError);
  await expect(ticket.waitForMatch()).rejects.toThrow("nobody came");
  await expect(ticket.waitForMatch({ signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: "AbortError",
  });
});

test("`replace` gives an earlier ticket up, but nobody else's", async () => {
  let whose: string | undefined;
  const done: string[] = [];
  const { client } = await guest([], ({ path, method }) => {
    if (!path.startsWith("/match/queue")) {
      return undefined;
    }
    done.push(`${method} ${path}`);
    if (method === "DELETE") {
      return [204, null];
    }
    const type = "urn:gameserver:problem:already-queued";
    return done.length === 1
      ? [409, { type, title: "Conflict", ticket_id: "old", player_id: whose }]
      : [202, { ticket_id: "new" }];
  });
  const ticket = await client.queue({ game: "arena", replace: true });
  expect(ticket.id).toBe("new");
  expect(done).toEqual(["POST /match/queue", "DELETE /match/queue/old", "POST /match/queue"]);

  done.length = 0;
  whose = "somebody";
  await expect(client.queue({ game: "arena", replace: true })).rejects.toMatchObject({
    kind: "already-queued",
    problem: { player_id: "somebody" },
  });
  expect(done).toEqual(["POST /match/queue"]);
  done.length = 0;
  whose = "p";
  await client.queue({ game: "arena", replace: true });
  expect(done).toHaveLength(3);
});

test("a refusal says what it is and when to try again", async () => {
  const { client } = await guest([], ({ path }) =>
    path === "/match/queue"
      ? [
          429,
          { type: "urn:gameserver:problem:too-many-requests", title: "Too many attempts" },
          { "retry-after": "7" },
        ]
      : undefined,
  );
  const error = await client.queue({ game: "arena" }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 429, kind: "too-many-requests", retryAfterS: 7 });
  expect(new ApiError(409, { type: "about:blank" })).toMatchObject({
    kind: "",
    retryAfterS: undefined,
  });
});

const PARTY: Party = {
  party_id: "a/b",
  code: "ABC234",
  leader: "p",
  members: [{ player_id: "p", username: "Ann" }],
};

test("parties are made, joined, asked for and left", async () => {
  const { calls, client } = await guest([], ({ path, method }) =>
    path.startsWith("/parties") && method !== "DELETE" ? [200, PARTY] : undefined,
  );
  expect(await client.parties.create()).toEqual(PARTY);
  await client.parties.join(" abc234 ");
  await client.parties.get("a/b");
  await client.parties.remove("a/b", "p");
  expect(calls.slice(1).map((c) => `${c.method} ${c.path} ${c.body.code ?? ""}`.trim())).toEqual([
    "POST /parties",
    "POST /parties/join ABC234",
    "GET /parties/a%2Fb",
    "DELETE /parties/a%2Fb/members/p",
  ]);
});

test("leaving a party that is gone is no error, and other refusals are", async () => {
  let answer: Answer = [404, { title: "Not found" }];
  const { client } = await guest([], ({ path }) =>
    path.startsWith("/parties/") ? answer : undefined,
  );
  await client.parties.remove("x", "p");
  answer = [403, { title: "Not allowed" }];
  await expect(client.parties.remove("x", "q")).rejects.toMatchObject({ status: 403 });
});

test("a party is watched for what changes in it, over a server that is away, until it is left", async () => {
  const queued = { ...PARTY, ticket_id: "t", game: "arena", mode: "default" };
  const answers: Answer[] = [
    [200, PARTY],
    [503, { title: "Restarting" }],
    [200, PARTY],
    [200, queued],
    [404, { title: "Not found" }],
  ];
  const { client } = await guest([], ({ path }) =>
    path.startsWith("/parties/") ? answers.shift() : undefined,
  );
  const seen: Party[] = [];
  vi.useFakeTimers();
  try {
    const watched = client.parties.watch("x", { onParty: (party) => seen.push(party) });
    await vi.advanceTimersByTimeAsync(10_000);
    await watched;
  } finally {
    vi.useRealTimers();
  }
  expect(seen).toEqual([PARTY, queued]);
  expect(answers).toHaveLength(0);
});

test("watching a party stops at once on abort", async () => {
  const { client } = await guest([], ({ path }) =>
    path.startsWith("/parties/") ? [200, PARTY] : undefined,
  );
  const stop = new AbortController();
  const started = performance.now();
  let told = 0;
  await client.parties.watch("x", {
    signal: stop.signal,
    onParty: () => {
      told += 1;
      stop.abort();
    },
  });
  expect(told).toBe(1);
  expect(performance.now() - started).toBeLessThan(1000);
});
